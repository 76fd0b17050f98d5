"""Which device there is, which precision it runs well, and the memory format that goes with it.

bf16 is never more than a way to compute: weights, gradients and optimiser states stay fp32, and
autocast runs the convolutions and matrix products in bf16. On a CPU with AVX512-BF16 or AMX that
is two to three times as fast as fp32 for 3D convolutions, provided that the weights lie in
channels-last order; without such instructions it is emulated and far slower than fp32, so what
is to run on every machine asks for "fast".
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "fast", "fp32", "bf16"]
PRECISIONS = ("auto", "fast", "fp32", "bf16")


def best_device() -> torch.device:
    """Return the first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bf16(device: torch.device | str) -> bool:
    """Return whether the device computes bf16 in hardware (emulation does not count)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device)[0] >= 8
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capability.get(name) for name in ("avx512_bf16", "amx_bf16"))


def autocast_dtype(precision: Precision, device: torch.device | str) -> torch.dtype | None:
    """Return the dtype that autocast computes in, or None for plain fp32.

    Args:
        precision: "auto" is bf16 on a GPU that has it and fp32 everywhere else; "fast" is bf16
            on a CPU that has it too; "bf16" and "fp32" are taken as they are.
        device: Where it will run.

    Raises:
        ValueError: The precision is none of the four.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}.")
    if precision in ("auto", "fast"):
        asked = precision == "fast" or torch.device(device).type == "cuda"
        return torch.bfloat16 if asked and has_fast_bf16(device) else None
    return torch.bfloat16 if precision == "bf16" else None


def autocast(precision: Precision, device: torch.device | str) -> AbstractContextManager:
    """Return the context in which the forward pass runs at this precision."""
    dtype = autocast_dtype(precision, device)
    if dtype is None:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype)


def use_channels_last(model: nn.Module) -> nn.Module:
    """Lay the 3D convolution weights out in channels-last order, in place.

    Values and names do not change. `nn.Module.to` cannot do it, as it stops at a 2D weight.
    """
    for parameter in model.parameters():
        if parameter.dim() == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return model
