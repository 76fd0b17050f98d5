"""Explicit randomness: every draw comes from a generator named by its keys."""

import hashlib
import random

import numpy as np
import torch


def seed_of(*keys: int | str) -> int:
    """Return a 63-bit seed that depends on every key and on nothing else.

    Example:
        >>> seed_of("cohort", 3, 0) == seed_of("cohort", 3, 0) != seed_of("cohort", 30)
        True
    """
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def rng(*keys: int | str) -> np.random.Generator:
    """Return a NumPy generator for these keys."""
    return np.random.default_rng(seed_of(*keys))


def torch_rng(*keys: int | str, device: str = "cpu") -> torch.Generator:
    """Return a torch generator for these keys."""
    return torch.Generator(device=device).manual_seed(seed_of(*keys))


def seed_everything(seed: int) -> None:
    """Seed the global generators, for libraries that draw from them (weight initialisation)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
