"""A tiny training that a test kills: `python killable_training.py FOLDER`."""

import sys
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fmtutor.engine.fit import FitConfig, fit

CONFIG = FitConfig(steps=60, lr=1e-2, warmup_steps=5, ema_decay=0.9, checkpoint_every=7, prefetch=2)


@dataclass(frozen=True, eq=False)
class TinyBatch:
    image: Tensor
    task: Tensor

    def to(self, device: torch.device) -> "TinyBatch":
        return replace(self, image=self.image.to(device), task=self.task.to(device))


def batches(i: int) -> TinyBatch:
    """A pure function of the position."""
    generator = torch.Generator().manual_seed(i)
    return TinyBatch(torch.randn(2, 1, 8, 6, 4, generator=generator), torch.tensor([i % 3, 1]))


def network() -> nn.Module:
    """Dropout draws from the global generator, and the batch norm has buffers to restore."""
    torch.manual_seed(3)
    first = nn.Conv3d(1, 4, 3, padding=1)
    return nn.Sequential(first, nn.BatchNorm3d(4), nn.Dropout(0.3), nn.ReLU(), nn.Conv3d(4, 1, 1))


def step(model: nn.Module, batch: TinyBatch) -> Tensor:
    return (model(batch.image) - batch.image.clamp(min=0)).square().mean()


if __name__ == "__main__":
    for _ in fit(network(), step, batches, CONFIG, folder=sys.argv[1]):
        time.sleep(0.01)  # leaves the killer time to strike anywhere
