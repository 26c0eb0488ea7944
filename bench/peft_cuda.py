"""The dense cases of bench/train.ts on a GPU: tokens/s over full optimizer steps, memory of the process on the GPU, as a line of JSON.
usage: peft_cuda.py tiny|small|smol|1b full|lora|prefix [float32|bfloat16]"""
import json, os, subprocess, sys, time, warnings

warnings.filterwarnings("ignore")
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

name, method, dtype = [*sys.argv[1:], "float32"][:3]
vocab, hidden, layers, heads, kv, inner, batch, length = {
    "tiny": (512, 256, 4, 4, 4, 688, 8, 128),
    "small": (8192, 512, 8, 8, 8, 1376, 4, 256),
    "smol": (49152, 576, 30, 9, 3, 1536, 2, 256),
    "1b": (128256, 2048, 16, 32, 8, 8192, 4, 512),
}[name]
half = dtype != "float32"
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv,
    intermediate_size=inner, max_position_embeddings=2048, tie_word_embeddings=name in ("smol", "1b"), use_cache=False,
)
with torch.device("cuda"):
    model = LlamaForCausalLM(config)
if method != "full":
    # Frozen weights are held in the type of the products, trained ones in float32, as anneal does.
    model = model.to(getattr(torch, dtype))
    chosen = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(model, chosen if method == "lora" else PrefixTuningConfig(num_virtual_tokens=20, task_type="CAUSAL_LM"))
    for p in model.parameters():
        if p.requires_grad:
            p.data = p.data.float()
model = model.to("cuda").train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
steps = 24
ids = torch.randint(0, vocab, (batch * 4, length))
times = []
for step in range(steps + 8):
    start = time.perf_counter()
    x = ids[step % 4 * batch : (step % 4 + 1) * batch].to("cuda")
    with torch.autocast("cuda", torch.bfloat16, enabled=half):
        loss = model(input_ids=x, attention_mask=torch.ones_like(x), labels=x).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss.item()
    if step >= 8:
        times.append(time.perf_counter() - start)
times.sort()
query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
rows = [line.split(", ") for line in subprocess.run(query, capture_output=True, text=True).stdout.splitlines()]
used = [int(mb) for pid, mb in rows if int(pid) == os.getpid()]
print(json.dumps({
    "tok_s_median": round(batch * length / times[len(times) // 2], 1),
    "rss_mb": used[0] if used else torch.cuda.max_memory_reserved() // 2**20,
}))
