"""What the training loop steps with: configuration, schedule, AdamW, the running average."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fmtutor.core.devices import PRECISIONS, Precision


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to train; what to train on is the business of the caller."""

    steps: int = 1000
    """Optimiser steps in all."""
    lr: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 1e-2
    """Decoupled decay of AdamW, on weights of two or more axes; biases and norms are spared."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly from 0."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: down to 0 at the last step along a half cosine, or level."""
    clip_norm: float | None = 1.0
    """Gradients are scaled down to this L2 norm; None leaves them."""
    precision: Precision = "auto"
    """"auto" (bf16 on a GPU that has it, else fp32), "fast" (on a CPU that has it too), "fp32", or
    "bf16"."""
    ema_decay: float | None = None
    """Decay of the running average of the weights a step, such as 0.999; None keeps none."""
    checkpoint_every: int = 200
    """Steps between checkpoints, where there is a folder."""
    seed: int = 0
    """Seed of the global generators (dropout) when training starts."""
    prefetch: int = 2
    """Batches made ahead by a background thread; 0 makes each when it is wanted."""

    def __post_init__(self) -> None:
        limits = {"steps": 1, "warmup_steps": 0, "checkpoint_every": 1, "prefetch": 0}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be 'cosine' or 'constant', got {self.schedule!r}.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie between 0 and 1, got {self.ema_decay}.")


def lr_factor(config: FitConfig, step: int) -> float:
    """Return the learning rate of a step as a share of its peak, in [0, 1].

    A function of the step alone: the schedule has no state that a resume could lose.
    """
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def adamw(
    model: nn.Module, config: FitConfig, groups: Sequence[Mapping[str, Any]] | None = None
) -> torch.optim.AdamW:
    """Build AdamW over what is trainable.

    Args:
        model: Its parameters with `requires_grad` are optimised where no groups are given.
        config: Learning rate and weight decay.
        groups: torch parameter groups; `lr` and `weight_decay` override the configuration.
            Frozen parameters in them are left out.

    Raises:
        ValueError: Nothing is trainable.
    """
    if groups is None:
        weights = [p for p in model.parameters() if p.dim() > 1]
        spared = [p for p in model.parameters() if p.dim() <= 1]
        groups = [{"params": weights}, {"params": spared, "weight_decay": 0.0}]
    kept = [{**g, "params": [p for p in g["params"] if p.requires_grad]} for g in groups]
    kept = [group for group in kept if group["params"]]
    if not kept:
        raise ValueError("no parameter has requires_grad=True, got 0; unfreeze something to train.")
    optimizer = torch.optim.AdamW(kept, lr=config.lr, weight_decay=config.weight_decay)
    for group in optimizer.param_groups:
        group["peak_lr"] = group["lr"]
    return optimizer


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set every group to its peak times ``factor``; return that of the first group."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])


class RunningAverage:
    """Exponential moving average of a network's state (weights averaged, the rest copied)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step; early steps count more, so that step 0 fades."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor.to(self.state[name].dtype), 1.0 - decay)
            else:
                self.state[name].copy_(tensor)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put the average back to a saved one."""
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
