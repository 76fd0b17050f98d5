"""Weights and inputs that two programs can make alike, from names and a seed alone.

NumPy's PCG64 gives the same bits on every machine, which torch's normal numbers do not promise.
Every tensor is drawn from its own generator, seeded by its published name, so neither the order of
a state dict nor our own names matter. Sizes keep the activations near 1 through a deep network.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

SEED = 0
COUNT = 64
"""Output values that a golden file keeps."""
PREFIXES = ("module.", "backbone.")
VECTORS = (
    "pos_embed", "not_a_point_embed", "no_mask_embed", "iou_token", "mask_tokens",
    "gaussian_matrix",
)  # fmt: skip
"""Published names, in part, of tensors that are added or multiplied as they are: SAM's."""


def drawn(name: str, shape: Sequence[int]) -> Tensor:
    """Return the float32 tensor of a published name.

    Norm weights lie in 0.9 to 1.1, biases in ±0.1, text vectors and SAM's `VECTORS` in ±1.7; any
    other is uniform with the variance 1 / (inputs per output).
    """
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    rng = np.random.default_rng([SEED, crc32(name.encode())])
    values = 2 * rng.random(tuple(shape), dtype=np.float32) - 1
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith(".weight")):
        values = 1 + np.float32(0.1) * values
    elif len(shape) == 1:
        values = np.float32(0.1) * values
    elif "embedding" in name or any(part in name for part in VECTORS):
        values = np.float32(1.7) * values
    else:
        values = np.float32((3 * shape[0] / np.prod(shape)) ** 0.5) * values
    return torch.from_numpy(values)


def filled(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict with every float drawn; integers (window indices) stay."""
    return {
        name: drawn(name, tensor.shape) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def image(shape: Sequence[int], name: str = "image") -> Tensor:
    """Return an input, uniform in 0 to 1 as CT is after scaling; each name gives another."""
    rng = np.random.default_rng([SEED, crc32(name.encode())])
    return torch.from_numpy(rng.random(tuple(shape), dtype=np.float32))


def episode(
    query: Sequence[int], supports: int, candidates: int = 0
) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Tensor]]:
    """Return the inputs of an in-context network.

    Args:
        query: Its shape, (B, 1, H, W).
        supports: Images and masks of the support, S.
        candidates: Answers asked of a stochastic network, M; 0 for a deterministic one.

    Returns:
        Query, support images and masks (both (B, S, 1, H, W)); and ``noise`` (B, M, 1, H, W) with
        variance 1, where there are candidates.
    """
    batch, *rest = query
    many = (batch, supports, *rest)
    masks = (image(many, "masks") > 0.5).float()
    noise = 12**0.5 * (image((batch, candidates, *rest), "noise") - 0.5)
    given = (image(query), image(many, "support"), masks)
    return given, {"noise": noise} if candidates else {}


def positions(size: int) -> np.ndarray:
    """Return the flat indices of the values that are kept."""
    return np.random.default_rng([SEED, crc32(b"positions")]).integers(size, size=COUNT)


def kept(output: Tensor) -> dict[str, Any]:
    """Return what a golden file keeps of an output."""
    flat = output.detach().flatten().float().numpy()
    return {
        "shape": list(output.shape),
        "max_abs": float(np.abs(flat).max()),
        "values": [float(value) for value in flat[positions(flat.size)]],
    }
