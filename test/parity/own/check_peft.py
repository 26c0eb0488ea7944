"""Proves that folders written by anneal load in transformers and PEFT: no missing or unexpected tensor, equal tensors, equal logits,
that adapters merged here are the models that PEFT merges, in each type, and that generation behind a prefix or virtual tokens is PEFT's.

    node --conditions=source test/parity/own/save.ts /tmp/peft-check [<model folder> ...]
    venv/bin/python test/parity/own/check_peft.py /tmp/peft-check      (venv: see make.py)
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
ids = torch.tensor([[1, 17, 5, 42, 2, 60, 8, 33, 12, 7]])
own = ("lora", "ia3", "modules_to_save")


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", attn_implementation="eager", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    assert model.dtype == torch.float32
    return model


def check(folder, name):
    model = PeftModel.from_pretrained(load(folder / "base"), folder / name).eval()
    result = model.load_adapter(folder / name, "default")
    missing = [key for key in result.missing_keys if any(part in key for part in own) and "original_module" not in key]
    # PEFT loads this one apart and still lists it: that it is loaded is seen below.
    unexpected = [key for key in result.unexpected_keys if key != "prompt_embeddings"]
    assert not missing and not unexpected, (name, missing, unexpected)
    stored = load_file(folder / name / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(model)
    assert set(stored) == set(loaded), (name, set(stored) ^ set(loaded))
    assert all(torch.equal(stored[key], loaded[key]) for key in stored), name
    with torch.no_grad():
        # Virtual tokens have logits of their own, in front.
        logits = model(ids).logits[0, -ids.shape[1] :]
        without = load(folder / "base").eval()(ids).logits[0]
    ours = load_file(folder / f"{name}.safetensors")["logits"]
    distance = (logits - ours).abs().max().item()
    change = (logits - without).abs().max().item()
    print(f"{folder.name}/{name}: {len(stored)} tensors, largest distance of the logits {distance:.2e} (the adapter changes them by up to {change:.2f})")
    assert distance <= 1e-4 < change, name


def check_greedy(folder, name):
    file = folder / f"{name}.json"
    if not file.exists():
        return
    ours = json.loads(file.read_text())
    model = PeftModel.from_pretrained(load(folder / "base"), folder / name).eval()
    # Token by token: generate() of transformers 5.24 loses PEFT's prefix, and continues otherwise than the logits of the same model say.
    read = ids
    with torch.no_grad():
        for _ in ours:
            read = torch.cat([read, model(read).logits[:, -1:].argmax(-1)], dim=1)
    theirs = read[0, ids.shape[1] :].tolist()
    print(f"{folder.name}/{name}: continued with {theirs}")
    assert ours == theirs, (name, ours, theirs)


def check_merged(folder, name):
    if not (folder / name / "float32").exists():
        return
    theirs = PeftModel.from_pretrained(load(folder / "base"), folder / name).merge_and_unload(safe_merge=True)
    wanted = dict(theirs.named_parameters())
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        at = folder / name / str(dtype).removeprefix("torch.")
        ours = AutoModelForCausalLM.from_pretrained(at, dtype="auto", attn_implementation="eager")
        assert ours.dtype == dtype, (name, ours.dtype)
        found = dict(ours.named_parameters())
        assert set(found) == set(wanted), (name, set(found) ^ set(wanted))
        # A sum that is off by a rounding of float32 may fall on the other side of a tie: one step of the narrower type.
        step = torch.finfo(dtype).eps
        for key, value in found.items():
            exact = wanted[key].detach()
            off = (value.float() - exact.to(dtype).float()).abs() - step * exact.abs() - 1e-6
            assert off.max() <= 0, (name, dtype, key, off.max())
    print(f"{folder.name}/{name}: merged alike in float32, float16, bfloat16")


for folder in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
    for logits in sorted(folder.glob("*.safetensors")):
        check(folder, logits.stem)
        check_greedy(folder, logits.stem)
        check_merged(folder, logits.stem)
print("all agree")
