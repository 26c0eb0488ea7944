"""Proves that folders written by anneal load in transformers and PEFT: no missing or unexpected tensor, equal logits.

    node --conditions=source test/parity/own/save.ts /tmp/peft-check
    venv/bin/python test/parity/own/check_peft.py /tmp/peft-check      (venv: see make.py)
"""

import sys
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

folder = Path(sys.argv[1])
ids = torch.tensor([[1, 17, 5, 42, 2, 60, 8, 33, 12, 7]])

base, info = LlamaForCausalLM.from_pretrained(folder / "base", attn_implementation="eager", output_loading_info=True)
assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
assert base.dtype == torch.float32

model = PeftModel.from_pretrained(base, folder / "adapter").eval()
again = model.load_adapter(folder / "adapter", "again")
assert not [key for key in again.missing_keys if "lora" in key] and not again.unexpected_keys, again
stored = load_file(folder / "adapter" / "adapter_model.safetensors")
loaded = get_peft_model_state_dict(model)
assert set(stored) == set(loaded) and all(torch.equal(stored[key], loaded[key]) for key in stored)

with torch.no_grad():
    logits = model(ids).logits[0]
    with model.disable_adapter():
        without = model(ids).logits[0]
ours = load_file(folder / "logits.safetensors")["logits"]
distance = (logits - ours).abs().max().item()
change = (logits - without).abs().max().item()
print(f"{len(stored)} adapter tensors, largest distance of the logits {distance:.2e} (the adapter changes them by up to {change:.2f})")
assert distance <= 1e-4 < change
