"""A network in context whose answer can be told by hand: it finds what is as bright as shown."""

import torch
from torch import nn


class LikeShown(nn.Module):
    """Logits: how much nearer than ``tolerance`` a pixel is to the brightness in the masks.

    ``seen`` keeps the query, support images and support masks of every call.
    """

    def __init__(self, dims: int = 2, tolerance: float = 0.1):
        super().__init__()
        self.unused = {2: nn.Conv2d, 3: nn.Conv3d}[dims](1, 1, 1)
        self.tolerance, self.seen = tolerance, []

    def forward(self, query, support_images, support_masks, *, chunk=8):
        self.seen.append((query, support_images, support_masks))
        axes = tuple(range(1, support_images.dim()))
        inside = (support_images * support_masks).sum(axes) / support_masks.sum(axes).clamp_min(1)
        apart = (query - inside.view(-1, *(1,) * (query.dim() - 1))).abs()
        return 40 * (self.tolerance - apart)

    @property
    def sizes(self) -> list[int]:
        """The number of examples in every call."""
        return [images.shape[1] for _, images, _ in self.seen]


def disc(size: int, brightness: float, radius: float = 5.0, dims: int = 2):
    """An image of one disc (or ball) on darker ground, and its mask."""
    axes = torch.meshgrid(*[torch.arange(size) - (size - 1) / 2] * dims, indexing="ij")
    mask = sum(axis**2 for axis in axes) < radius**2
    return torch.where(mask, brightness, 0.3).numpy(), mask.numpy()
