"""Makes the reference numbers of this folder with PyTorch, transformers and PEFT (CPU, float32, eager attention, one thread).

    python -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 accelerate==1.15.0
    venv/bin/python test/parity/own/make.py

Two tiny random models, weights scaled up so that every feature shows in the logits:
  tied    tied head, grouped-query attention, llama3 rope, a padding token that also stands as a real token; float32 on disk
  untied  untied head, biases in attention and MLP, default rope; float16 on disk in shards, goldens in float32 from those weights
and a LoRA adapter over the tied one. Each gets logits, loss, every gradient, and five AdamW steps with clipping and decay groups.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Trainer

here = Path(__file__).parent
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

common = dict(
    vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64,
    initializer_range=0.2, bos_token_id=1, eos_token_id=2, attn_implementation="eager",
)
configs = {
    "tied": dict(
        num_key_value_heads=2, head_dim=12, tie_word_embeddings=True, pad_token_id=2,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=16),
    ),
    "untied": dict(num_key_value_heads=4, tie_word_embeddings=False, attention_bias=True, mlp_bias=True),
}
optimizer = dict(learning_rate=5e-3, weight_decay=0.1, beta1=0.9, beta2=0.99, epsilon=1e-8, max_grad_norm=8.0)
steps = 5


def rows(generator, vocab, lengths=(14, 9)):
    """Right-padded rows; about one label in five is masked out besides the first four tokens of each row."""
    width = max(lengths)
    ids, mask, labels = (torch.zeros(len(lengths), width, dtype=torch.long) for _ in range(3))
    labels.fill_(-100)
    for i, n in enumerate(lengths):
        ids[i, :n] = torch.randint(2, vocab, (n,), generator=generator)
        ids[i, n // 2] = 2
        mask[i, :n] = 1
        kept = torch.rand(n, generator=generator) > 0.2
        kept[:4] = False
        labels[i, :n][kept] = ids[i, :n][kept]
    return dict(input_ids=ids, attention_mask=mask, labels=labels)


def forward(model, batch):
    out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True)
    count = int((batch["labels"][:, 1:] != -100).sum())
    loss = torch.nn.functional.cross_entropy(
        out.logits[:, :-1].reshape(-1, out.logits.shape[-1]), batch["labels"][:, 1:].reshape(-1), ignore_index=-100, reduction="sum")
    return out, loss / count


def decay_groups(model):
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return [
        dict(params=[p for n, p in named if n in decayed], weight_decay=optimizer["weight_decay"]),
        dict(params=[p for n, p in named if n not in decayed], weight_decay=0.0),
    ]


def trace(model, batches):
    adamw = torch.optim.AdamW(decay_groups(model), lr=optimizer["learning_rate"], betas=(optimizer["beta1"], optimizer["beta2"]),
                              eps=optimizer["epsilon"])
    losses, norms = [], []
    for batch in batches:
        adamw.zero_grad()
        _, loss = forward(model, batch)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], optimizer["max_grad_norm"])))
        adamw.step()
        losses.append(loss.item())
    return dict(optimizer=optimizer, batches=[plain(b) for b in batches], losses=losses, grad_norms=norms)


def plain(batch):
    return {name: tensor.tolist() for name, tensor in batch.items()}


def write(folder, name, value):
    (folder / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def golden(model, batch, folder, gradients):
    """gradients: name -> parameter, read after the backward pass."""
    model.zero_grad()
    out, loss = forward(model, batch)
    loss.backward()
    tensors = {"logits": out.logits.flatten(0, 1)}
    tensors |= {f"hidden.{i}": h.flatten(0, 1) for i, h in enumerate(out.hidden_states[:-1])}
    tensors |= {f"grad.{name}": p.grad for name, p in gradients.items()}
    save_file({n: t.detach().clone().contiguous() for n, t in tensors.items()}, folder / "golden.safetensors")
    write(folder, "golden.json", dict(plain(batch), loss=loss.item()))


def make_model(name, seed):
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**common, **configs[name]))
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn(p.shape, generator=generator))
        if name == "tied":  # a padding row that is zero would hide whether it is read
            model.model.embed_tokens.weight[2] = 0.2 * torch.randn(32, generator=generator)
    if name == "untied":
        model.half().save_pretrained(folder / "hf", max_shard_size="20KB")
    else:
        model.save_pretrained(folder / "hf")
    model = LlamaForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32, attn_implementation="eager").eval()
    golden(model, rows(generator, 61), folder, dict(model.named_parameters()))
    write(folder, "trace.json", trace(model, [rows(generator, 61) for _ in range(steps)]))
    save_file({n: p.detach().clone() for n, p in model.named_parameters()}, folder / "final.safetensors")


def make_adapter(seed):
    from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict

    folder = here / "lora"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    generator = torch.Generator().manual_seed(seed)
    base = LlamaForCausalLM.from_pretrained(here / "tied" / "hf", dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(base, LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    model.eval()
    # PEFT writes target_modules from a set, in any order
    model.peft_config["default"].target_modules = ["down_proj", "q_proj", "v_proj"]
    model.peft_config["default"].base_model_name_or_path = "tied/hf"
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    trained = {n.replace(".default.", "."): p for n, p in model.named_parameters() if p.requires_grad}
    assert set(trained) == set(get_peft_model_state_dict(model))
    golden(model, rows(generator, 61), folder, trained)
    write(folder, "trace.json", trace(model, [rows(generator, 61) for _ in range(steps)]))
    save_file({n: p.detach().clone() for n, p in trained.items()}, folder / "final.safetensors")
    merged = PeftModel.from_pretrained(
        LlamaForCausalLM.from_pretrained(here / "tied" / "hf", dtype=torch.float32, attn_implementation="eager"), folder / "adapter"
    ).merge_and_unload()
    save_file({n: p.detach().clone() for n, p in merged.named_parameters() if "proj" in n}, folder / "merged.safetensors")


if __name__ == "__main__":
    make_model("tied", 11)
    make_model("untied", 12)
    make_adapter(13)
