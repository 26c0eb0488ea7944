"""Makes optimizers.json: four steps of each optimizer with PyTorch, transformers and lion-pytorch, in float64.

    python -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0 lion-pytorch==0.2.5
    venv/bin/python test/parity/own/optimizers.py

A matrix and a vector with given gradients; every case keeps the weights after each step.
"""

import json
from pathlib import Path

import torch
from lion_pytorch import Lion
from transformers import Adafactor

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

generator = torch.Generator().manual_seed(1)
shapes = {"matrix": (5, 7), "vector": (6,)}
steps = 4
start = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
gradients = [
    {name: torch.randn(shape, generator=generator) * 10.0 ** torch.randint(-3, 2, shape, generator=generator) for name, shape in shapes.items()}
    for _ in range(steps)
]

cases = {
    "adamw": ("adamw", dict(lr=0.01, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-6), torch.optim.AdamW),
    "sgd": ("sgd", dict(lr=0.01, weight_decay=0.1), torch.optim.SGD),
    "sgd with momentum": ("sgd", dict(lr=0.01, weight_decay=0.1, momentum=0.9), torch.optim.SGD),
    "lion": ("lion", dict(lr=0.01, weight_decay=0.1, betas=(0.9, 0.98)), Lion),
    "adafactor": (
        "adafactor",
        dict(lr=0.01, weight_decay=0.1, scale_parameter=False, relative_step=False, warmup_init=False),
        Adafactor,
    ),
    "adafactor relative to the weights": (
        "adafactor",
        dict(lr=0.01, weight_decay=0.0, scale_parameter=True, relative_step=False, warmup_init=False, clip_threshold=0.5, decay_rate=-0.6),
        Adafactor,
    ),
    "adafactor over small weights": (
        "adafactor",
        dict(lr=0.01, scale_parameter=True, relative_step=False, warmup_init=False, eps=(1e-20, 5.0)),
        Adafactor,
    ),
}


def listed(tensors):
    return {name: tensor.flatten().tolist() for name, tensor in tensors.items()}


def run(options, make):
    parameters = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in start.items()}
    optimizer = make(parameters.values(), **options)
    weights = []
    for step in gradients:
        for name, parameter in parameters.items():
            parameter.grad = step[name].clone()
        optimizer.step()
        weights.append(listed({name: parameter.detach() for name, parameter in parameters.items()}))
    return weights


out = dict(
    shapes=shapes,
    start=listed(start),
    gradients=[listed(step) for step in gradients],
    cases=[dict(name=name, optimizer=kind, options=options, weights=run(options, make)) for name, (kind, options, make) in cases.items()],
)
Path(__file__).with_name("optimizers.json").write_text(json.dumps(out, indent=1) + "\n")
