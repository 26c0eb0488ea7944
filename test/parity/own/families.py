"""Makes the reference numbers of the families in this folder, and rope.json, with the tools of make.py (no PEFT needed).

    venv/bin/python test/parity/own/families.py [name ...]

Tiny random models with weights scaled up so that every feature shows in the logits: windows shorter than the rows, padding tokens
that stand as real ones, biases that are not 0. Each gets logits, hidden states, loss, every gradient, and a greedy continuation.
"""

import json
import shutil
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from make import golden, here, plain, rows, write

vocab = 37
common = dict(vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=64, initializer_range=0.3, bos_token_id=1, eos_token_id=None)
gemma = dict(common, head_dim=6, query_pre_attn_scalar=5, sliding_window=4, num_hidden_layers=3, pad_token_id=2, rope_parameters=dict(
    full_attention=dict(rope_type="linear", factor=4.0, rope_theta=1000.0), sliding_attention=dict(rope_type="default", rope_theta=100.0)),
    layer_types=["sliding_attention", "full_attention", "sliding_attention"], attention_bias=True)
rope = dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=16, beta_fast=2.0, beta_slow=0.5,
            truncate=False, mscale=0.7, mscale_all_dim=1.3)
configs = {
    "mistral": dict(common, model_type="mistral", head_dim=6, sliding_window=5),
    "qwen2": dict(common, model_type="qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True, pad_token_id=2),
    "qwen3": dict(common, model_type="qwen3", head_dim=6, attention_bias=True, tie_word_embeddings=True),
    "smollm3": dict(common, model_type="smollm3", no_rope_layer_interval=2, pad_token_id=2),
    "phi3": dict(common, model_type="phi3", sliding_window=6, pad_token_id=None),
    "gemma3_text": dict(gemma, model_type="gemma3_text"),
    "gemma3": dict(model_type="gemma3", mm_tokens_per_image=4, image_token_index=36, boi_token_index=34, eoi_token_index=35,
                   text_config=dict(gemma, model_type="gemma3_text"),
                   vision_config=dict(model_type="siglip_vision_model", hidden_size=4, intermediate_size=4, num_hidden_layers=1,
                                      num_attention_heads=1, image_size=8, patch_size=4, vision_use_head=False)),
    "gpt2": dict(model_type="gpt2", vocab_size=vocab, n_positions=32, n_embd=16, n_layer=2, n_head=4, n_inner=20, initializer_range=0.3,
                 scale_attn_by_inverse_layer_idx=True, bos_token_id=1, eos_token_id=None, pad_token_id=2),
    "yarn": dict(common, model_type="llama", rope_parameters=rope),
    # Rows and prompt are longer than the context, so the base changes with every token.
    "dynamic": dict(common, model_type="llama", max_position_embeddings=8, rope_parameters=dict(rope_type="dynamic", rope_theta=100.0, factor=3.0)),
}


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32, attn_implementation="eager").eval()


def make_family(name, seed):
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    fields = dict(configs[name])
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            if "vision" in parameter_name or "projector" in parameter_name:
                p.copy_(torch.randn(p.shape, generator=generator))
            elif p.dim() == 1:
                p.add_(0.3 * torch.randn(p.shape, generator=generator))
        table = model.get_input_embeddings().weight
        table[2] = 0.3 * torch.randn(table.shape[1], generator=generator)
    model.save_pretrained(folder / "hf")
    (folder / "hf" / "generation_config.json").unlink(missing_ok=True)
    model = load(folder)
    text = {n: p for n, p in model.named_parameters() if "vision" not in n and "projector" not in n}
    golden(model, rows(generator, vocab), folder, text)
    prompt = torch.randint(3, vocab, (1, 10), generator=generator)
    # A fresh model: dynamic rope remembers the longest sequence that it has seen.
    out = load(folder).generate(prompt, max_new_tokens=12, do_sample=False, output_logits=True, return_dict_in_generate=True, pad_token_id=0)
    top = torch.stack(out.logits).topk(2).values
    assert (top[..., 0] - top[..., 1]).min() > 1e-2, "a near-tie"
    value = json.loads((folder / "golden.json").read_text())
    write(folder, "golden.json", dict(value, greedy=dict(prompt=prompt[0].tolist(), new_ids=out.sequences[0, 10:].tolist())))


def make_rope():
    """Frequencies and the factor of cos and sin, at the given lengths (null: before any sequence)."""
    cases = [
        (64, 2048, dict(rope_type="linear", rope_theta=1e6, factor=8.0), [None]),
        (16, 32, dict(rope_type="dynamic", rope_theta=1e4, factor=4.0), [None, 20, 32, 33, 100]),
        (64, 131072, dict(rope_type="yarn", rope_theta=1e6, factor=4.0, original_max_position_embeddings=32768), [None]),
        (128, 4096, dict(rope_type="yarn", rope_theta=1e4, factor=16.0, original_max_position_embeddings=256, beta_fast=24, beta_slow=2), [None]),
        (16, 64, dict(rope, factor=40.0), [None]),
        (16, 64, dict(rope_type="yarn", rope_theta=1e4, factor=2.0, original_max_position_embeddings=32, attention_factor=0.9), [None]),
        (16, 64, dict(rope_type="yarn", rope_theta=1e4, factor=None, original_max_position_embeddings=16), [None]),
        (16, 64, dict(rope_type="yarn", rope_theta=1e4, factor=1.0, original_max_position_embeddings=10**6), [None]),
        (64, 8192, dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0), [None]),
        (8, 64, dict(rope_type="llama3", rope_theta=100.0, factor=4.0, low_freq_factor=4.0, high_freq_factor=1.0,
                     original_max_position_embeddings=32), [None]),
    ]
    found = []
    for head_dim, most, parameters, lengths in cases:
        for length in lengths:
            config = AutoConfig.for_model("llama", head_dim=head_dim, max_position_embeddings=most, rope_parameters=dict(parameters))
            inv_freq, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, "cpu", seq_len=length)
            found.append(dict(head_dim=head_dim, max_position_embeddings=most, rope_parameters=parameters, length=length,
                              attention_factor=factor, inv_freq=inv_freq.tolist()))
    write(here, "rope.json", found)


if __name__ == "__main__":
    wanted = sys.argv[1:] or [*configs, "rope"]
    for i, name in enumerate(configs):
        if name in wanted:
            make_family(name, 21 + i)
    if "rope" in wanted:
        make_rope()
