"""The dense cases of bench/train.ts as PEFT's prefix tuning: tokens/s over full optimizer steps, peak memory, as a line of JSON.
usage: peft_prefix.py tiny|small|smol"""
import json, resource, sys, time, warnings

warnings.filterwarnings("ignore")
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

vocab, hidden, layers, heads, kv, inner, batch, length = {
    "tiny": (512, 256, 4, 4, 4, 688, 8, 128),
    "small": (8192, 512, 8, 8, 8, 1376, 4, 256),
    "smol": (49152, 576, 30, 9, 3, 1536, 2, 256),
}[sys.argv[1]]
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv,
    intermediate_size=inner, max_position_embeddings=2048, tie_word_embeddings=sys.argv[1] == "smol", use_cache=False,
)
model = get_peft_model(LlamaForCausalLM(config), PrefixTuningConfig(num_virtual_tokens=20, task_type="CAUSAL_LM"))
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
steps = 8
ids = torch.randint(0, vocab, (batch * (steps + 2), length))
times = []
for step in range(steps + 2):
    x = ids[step * batch : (step + 1) * batch]
    start = time.perf_counter()
    loss = model(input_ids=x, attention_mask=torch.ones_like(x), labels=x).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss.item()
    if step >= 2:
        times.append(time.perf_counter() - start)
times.sort()
print(json.dumps({
    "tok_s_median": round(batch * length / times[len(times) // 2], 1),
    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}))
