"""Training states that resume exactly, and weight files that load strictly or not at all."""

import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from fmtutor.core.files import atomic_path
from fmtutor.core.tables import lookup

WEIGHT_DTYPES = {"fp16": torch.float16, "fp32": torch.float32}


def rng_state() -> dict[str, Any]:
    """Return the state of the global generators of Python, NumPy, torch and the CUDA device."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, next_gauss = random.getstate()
    return {
        "python": [version, list(internal), next_gauss],
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Put the global generators back to what `rng_state` returned."""
    version, internal, next_gauss = state["python"]
    random.setstate((version, tuple(internal), next_gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a training state (tensors, numbers, text, nested) atomically."""
    with atomic_path(path) as part:
        torch.save(dict(state), part)


def load_state(path: str | Path) -> dict[str, Any]:
    """Read a training state onto the CPU; nothing but tensors and plain values is unpickled.

    Raises:
        ValueError: The file is not a training state.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.PickleError) as error:
        name = Path(path).name
        raise ValueError(
            f"{name} is not a readable training state ({error}); delete it."
        ) from error


def save_weights(
    model: nn.Module,
    path: str | Path,
    *,
    dtype: str = "fp32",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write every parameter and buffer as safetensors, atomically.

    Args:
        model: The network.
        path: A `.safetensors` file.
        dtype: "fp16" halves the file and rounds to 11 significant bits; "fp32" is exact.
        metadata: Text stored in the header, such as the configuration as JSON.

    Raises:
        ValueError: The dtype is unknown, or a weight does not fit into fp16.
    """
    kind = lookup(WEIGHT_DTYPES, dtype, "weight dtype")
    tensors = {}
    for name, tensor in model.state_dict().items():
        stored = tensor.detach().to("cpu", kind if tensor.is_floating_point() else tensor.dtype)
        if stored.is_floating_point() and bool(stored.isinf().any() & ~tensor.isinf().any()):
            raise ValueError(f"{name} has values beyond the range of fp16; save it as fp32.")
        tensors[name] = stored.contiguous().clone()
    with atomic_path(path) as part:
        save_file(tensors, part, metadata=dict(metadata or {}))


def load_weights(model: nn.Module, path: str | Path) -> dict[str, str]:
    """Load a file of `save_weights` into a network of the same build.

    Returns:
        The metadata of the file.

    Raises:
        ValueError: A tensor is missing, unexpected, or of another shape; all of them are listed
            and the network is left as it was.
    """
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    problems = mismatches(model.state_dict(), tensors)
    if problems:
        listed = "; ".join(problems)
        raise ValueError(f"{Path(path).name} holds the weights of another network: {listed}.")
    model.load_state_dict(
        {
            name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }
    )
    return metadata


def mismatches(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """Say how two sets of named tensors differ, in words; an empty list means they match."""
    missing = sorted(set(expected) - set(found))
    unexpected = sorted(set(found) - set(expected))
    shapes = [
        f"{name} is {tuple(found[name].shape)}, should be {tuple(expected[name].shape)}"
        for name in sorted(set(expected) & set(found))
        if expected[name].shape != found[name].shape
    ]
    named = {"missing": missing, "unexpected": unexpected, "wrong shape": shapes}
    return [f"{what}: {', '.join(names)}" for what, names in named.items() if names]
