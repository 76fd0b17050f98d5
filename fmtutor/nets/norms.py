"""Normalisation layers by name, in forms that are fast on a CPU as well.

Published 3D networks differ in little but this: instance norm (nnU-Net), batch norm with running
statistics (MedicalNet), batch norm that always takes the statistics of the batch (Models Genesis,
and through it CLIP-Driven and SuPreM), group norm (SegResNet, DoDNet).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class InstanceNorm(nn.InstanceNorm3d):
    """Affine instance norm that keeps channels-last memory; equal to `torch.nn.InstanceNorm3d`.

    Torch's own form first copies a channels-last batch into channels-first memory, and every
    convolution after it pays for that. Here each sample is normalised by the batch-norm kernel,
    which is the same arithmetic for a batch of one and reads both layouts.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or not x.is_contiguous(memory_format=torch.channels_last_3d):
            return super().forward(x)
        parts = [
            functional.batch_norm(part, None, None, self.weight, self.bias, True, eps=self.eps)
            for part in x.split(1)
        ]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class BatchStatisticsNorm(nn.BatchNorm3d):
    """Batch norm that uses the statistics of the batch at evaluation too.

    The running statistics are kept (published checkpoints hold them) and updated in training, but
    never used. With one patch in the batch it acts as an instance norm, and the output for a patch
    depends on the other patches of its batch, unless ``one_by_one`` is set: then evaluation takes
    each patch's own statistics, as if it were alone.
    """

    one_by_one = False

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        if self.one_by_one and len(x) > 1:
            return torch.cat([self.forward(patch) for patch in x.split(1)])
        return functional.batch_norm(x, None, None, self.weight, self.bias, True, eps=self.eps)


def norm_layer(name: str, channels: int) -> nn.Module:
    """Return a normalisation layer.

    Args:
        name: "instance", "batch", "batch_statistics", "group" (8 channels a group) or "none".
        channels: Channels that it normalises.

    Raises:
        ValueError: The name is not known.
    """
    builders = {
        "instance": InstanceNorm,
        "batch": nn.BatchNorm3d,
        "batch_statistics": BatchStatisticsNorm,
        "group": lambda size: nn.GroupNorm(max(1, size // 8), size),
        "none": lambda size: nn.Identity(),
    }
    if name not in builders:
        raise ValueError(f"norm must be one of {tuple(builders)}, not {name!r}; pick one of them.")
    return builders[name](channels)
