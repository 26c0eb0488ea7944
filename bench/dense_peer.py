"""The dense cases of bench/train.ts in transformers and PEFT, where ../shared/peers has no program for them: prefix tuning on the CPU, and all but
qlora on a GPU. Prints tokens/s over full optimizer steps, and the memory of the process there, as a line of JSON.
usage: dense_peer.py tiny|small|smol full|lora|prefix cpu|cuda float32|bfloat16"""
import json, os, resource, subprocess, sys, time, warnings

warnings.filterwarnings("ignore")
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

name, method, device, dtype = sys.argv[1:]
vocab, hidden, layers, heads, kv, inner, batch, length = {
    "tiny": (512, 256, 4, 4, 4, 688, 8, 128),
    "small": (8192, 512, 8, 8, 8, 1376, 4, 256),
    "smol": (49152, 576, 30, 9, 3, 1536, 2, 256),
}[name]
adapters = {
    "lora": lambda: LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    "prefix": lambda: PrefixTuningConfig(num_virtual_tokens=20, task_type="CAUSAL_LM"),
}
# On a GPU the first steps also load its kernels.
steps, warm = (8, 2) if device == "cpu" else (24, 8)


def used() -> int:
    """MiB of the process: its peak on the host, or what it holds on the GPU."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    rows = [line.split(", ") for line in subprocess.run(query, capture_output=True, text=True).stdout.splitlines()]
    return next(int(mb) for pid, mb in rows if int(pid) == os.getpid())


torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv,
    intermediate_size=inner, max_position_embeddings=2048, tie_word_embeddings=name == "smol", use_cache=False,
)
with torch.device(device):
    model = LlamaForCausalLM(config)
if method != "full":
    # Frozen weights are held in the type of the products, trained ones in float32, as anneal does.
    model = get_peft_model(model.to(getattr(torch, dtype)), adapters[method]()).to(device)
    for p in model.parameters():
        if p.requires_grad:
            p.data = p.data.float()
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
ids = torch.randint(0, vocab, (batch * 4, length))
times = []
for step in range(warm + steps):
    start = time.perf_counter()
    x = ids[step % 4 * batch : (step % 4 + 1) * batch].to(device)
    with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
        loss = model(input_ids=x, attention_mask=torch.ones_like(x), labels=x).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    loss.item()
    if step >= warm:
        times.append(time.perf_counter() - start)
times.sort()
print(json.dumps({"tok_s_median": round(batch * length / times[len(times) // 2], 1), "rss_mb": used()}))
