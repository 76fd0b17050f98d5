"""A promptable network without training: near the inside prompts, of like intensity, not outside.

It takes 2D and 3D images alike, counts how often it embeds and decodes, and remembers what it was
last asked, so that tests of sessions can see what reached the network.
"""

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.prompts import INSIDE, NOTHING, Answer, Prompts
from fmtutor.data.cases import Case

EYE = np.diag([3.0, 3.0, 3.0, 1.0])


class NearAndAlike(nn.Module):
    """Inside is what lies within ``reach`` voxels of an inside click and is as bright."""

    def __init__(self, reach=6.0, size=(16, 16, 16), *, alike=20.0, **config):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.reach, self.alike = reach, alike
        self.config = SimpleNamespace(size=size, **config)
        self.embedded, self.decoded = [], []

    def embed(self, image: Tensor) -> Tensor:
        """Return the image itself."""
        self.embedded.append(image)
        return image

    def decode(self, embedding: Tensor, prompts: Prompts, *, candidates=False) -> Answer:
        """Score each voxel by its distance to prompts and its difference from them."""
        self.decoded.append((prompts, candidates))
        image, grid = embedding[0, 0], embedding.shape[2:]
        axes = [torch.arange(size, dtype=torch.float32) for size in grid]
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
        logits = torch.full(grid, -4.0)
        if prompts.mask is not None:
            last = functional.interpolate(prompts.mask, size=grid, mode=_mode(grid))[0, 0]
            logits = torch.maximum(logits, last)
        if prompts.boxes is not None:
            low, high = prompts.boxes[0]
            within = ((places >= low - 0.01) & (places <= high + 0.01)).all(-1)
            logits = torch.where(within, 4.0, logits)
        if prompts.scribbles is not None:
            logits = logits + 9 * prompts.scribbles[0, 0] - 9 * prompts.scribbles[0, 1]
        for point, label in zip(prompts.points[0], prompts.labels[0], strict=True):
            if label == NOTHING:
                continue
            near = self.reach - (places - point).norm(dim=-1)
            at = tuple(point.round().long().clamp(min=0).tolist())
            at = tuple(min(i, size - 1) for i, size in zip(at, grid, strict=True))
            score = near - self.alike * (image - image[at]).abs()
            if label == INSIDE:
                logits = torch.maximum(logits, score)
            else:
                logits = torch.minimum(logits, -near)
        logits = logits[None, None] * self.scale
        low = functional.interpolate(logits, scale_factor=0.5, mode=_mode(grid))
        several = 3 if candidates else 1
        worse = torch.cat([logits, *[logits - 9] * (several - 1)], 1)
        quality = torch.tensor([[0.9] + [0.1] * (several - 1)])
        return Answer(logits=worse, quality=quality, low=low.expand(-1, several, *low.shape[2:]))


def _mode(grid):
    return "trilinear" if len(grid) == 3 else "bilinear"


def ball_case(shape=(40, 40, 12), *, ball=(10, 10, 6), radius=4.0, affine=EYE):
    """Return a case of one bright ball."""
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    image = np.full(shape, -100.0, np.float32)
    image[np.linalg.norm(places - ball, axis=-1) <= radius] = 150.0
    return Case(name="ball", image=image, affine=affine)
