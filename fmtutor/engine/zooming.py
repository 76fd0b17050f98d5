"""Zoom-out-zoom-in: a whole volume at a glance, then a closer look where something was seen.

For networks that see a fixed number of voxels. The prompts of the closer look come from the first
one: the box of the coarse mask in each window, and the user's clicks that lie in it.

Source: Du et al., "SegVol", NeurIPS 2024, section 2.4.
Taught in: 10
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.core.ask import Clicks
from fmtutor.core.prompts import INSIDE, OUTSIDE, Prompts
from fmtutor.data.boxes import tight
from fmtutor.data.cases import Case
from fmtutor.engine.embedder import Embedder, prepared
from fmtutor.engine.looking import Looking
from fmtutor.engine.regions_of_interest import (
    Region,
    around,
    case_region,
    inside_case,
    resample,
    whole,
)
from fmtutor.engine.session_state import Asked, Click, prompts_on
from fmtutor.engine.sliding_window import sliding_window

NOT_ASKED = -20.0
"""Logit of a window in which nothing is asked."""
Mask = Bool[np.ndarray, "H W D"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """What is asked about one structure, in voxels of the case."""

    clicks: Clicks | None = None
    box: tuple[int, ...] | None = None
    """(h0, w0, d0, h1, w1, d1), ends not included."""
    text: Float[Tensor, " E"] | None = None
    """Vector of its name."""

    def asked(self) -> Asked:
        """Return clicks and box as a session holds them."""
        given = () if self.clicks is None else zip(*vars(self.clicks).values(), strict=True)
        clicks = tuple(Click(voxel, sign) for voxel, sign in given)
        if self.box is None:
            return Asked(clicks=clicks)
        h, w, d, h1, w1, d1 = self.box
        return Asked(clicks=clicks, box=((h, w, d), (h1 - 1, w1 - 1, d1 - 1)))


def zoom_out_zoom_in(
    model: nn.Module,
    case: Case,
    question: Question,
    *,
    size: Sequence[int],
    spacing_mm: float,
    overlap: float = 0.5,
    zoom_in: bool = True,
) -> Mask:
    """Return the mask of a structure on the case's grid.

    Args:
        model: A promptable 3D network.
        case: Its image as read.
        question: What is asked.
        size: Voxels that the network sees.
        spacing_mm: Edge of its voxels in the closer look; the first look is as coarse as it must.
        overlap: Share of a window that its neighbour covers too.
        zoom_in: Whether to look closer at all, where the first look was coarse.
    """
    frame = (tuple(case.image.shape), case.spacing_mm)
    image, _ = prepared(case)
    looking = Looking(roi="whole", size=tuple(size), spacing_mm=spacing_mm)
    region = whole(case=frame, size=size, spacing_mm=spacing_mm)
    embedder = Embedder(model, looking, keep=1)
    air = float(image.min())
    asked = question.asked()
    prompts = prompts_on(asked, region, text=question.text)
    seen = resample(image, case_region(frame[0]), region, fill=air)
    coarse = embedder.decode(region, lambda: seen[None, None], prompts).logits[0, 0]
    mask = _painted(coarse, region, frame[0])
    closer = _surroundings(mask, frame, size, spacing_mm)
    is_fine = region.step == around((0, 0, 0), case=frame, size=size, spacing_mm=spacing_mm).step
    if not zoom_in or is_fine or closer is None:
        return mask
    channels = _channels(image, coarse, region, asked, closer, air=air)
    window = _Window(embedder, question)
    probability = sliding_window(
        window, channels[None], patch=size, overlap=overlap, device=embedder.device
    )
    return _painted(probability[0], closer, frame[0], threshold=0.5)


@dataclass(frozen=True, eq=False)
class _Window:
    """Asks about a window, from channels: image, coarse mask, clicks inside, clicks outside."""

    embedder: Embedder
    question: Question

    def __call__(self, window: Float[Tensor, "1 4 h w d"]) -> Float[Tensor, "1 1 h w d"]:
        """Return logits; `NOT_ASKED` where the window holds nothing of the structure."""
        image, coarse = window[:, :1], window[0, 1].cpu().numpy() > 0.5
        inside, outside = (torch.nonzero(marks > 0.5).float() for marks in window[0, 2:].cpu())
        if not coarse.any() and not len(inside):
            return torch.full_like(image, NOT_ASKED)
        if self.question.clicks is not None and not len(inside):
            inside = _middle(coarse)
        points = torch.cat((inside, outside))
        labels = torch.tensor([INSIDE] * len(inside) + [OUTSIDE] * len(outside))
        prompts = Prompts(points=points[None], labels=labels.long()[None])
        if self.question.box is not None and coarse.any():
            prompts = replace(prompts, boxes=torch.from_numpy(tight(coarse)).float()[None])
        if self.question.text is not None:
            prompts = replace(prompts, text=self.question.text.reshape(1, -1).float())
        answer = self.embedder.decode(object(), lambda: image, prompts)
        return answer.logits.to(window.device)


def _middle(mask: Bool[np.ndarray, "h w d"]) -> Float[Tensor, "1 3"]:
    """Return the voxel of a mask that is nearest to its centre."""
    at = np.argwhere(mask)
    nearest = ((at - at.mean(0)) ** 2).sum(1).argmin()
    return torch.from_numpy(at[nearest]).float()[None]


def _surroundings(
    mask: Mask, frame: tuple[tuple[int, ...], Sequence[float]], size: Sequence[int], spacing: float
) -> Region | None:
    """Return the region at the working spacing about a mask, a window at least; None if empty."""
    if not mask.any():
        return None
    first, last = tight(mask)
    step = spacing / np.array(frame[1])
    # An eighth of a window more on each side, for what the first look missed.
    extent = np.ceil((last - first + 1) / step + np.array(size) / 4).astype(int)
    shape = np.maximum(extent, size).tolist()
    centre = ((first + last) / 2).tolist()
    return around(centre, case=frame, size=shape, spacing_mm=spacing)


def _channels(
    image: Float[Tensor, "H W D"],
    coarse: Tensor,
    region: Region,
    asked: Asked,
    closer: Region,
    *,
    air: float,
) -> Float[Tensor, "4 h w d"]:
    """Return image, coarse mask, and marks of the clicks of both signs on a closer region."""
    channels = torch.zeros(4, *closer.shape)
    channels[0] = resample(image, case_region(image.shape), closer, fill=air)
    channels[1] = resample(coarse, region, closer, fill=NOT_ASKED) > 0
    points = prompts_on(replace(asked, box=None), closer)
    for at, label in zip(points.points[0].round().long(), points.labels[0], strict=True):
        h, w, d = (int(min(max(x, 0), n - 1)) for x, n in zip(at, closer.shape, strict=True))
        channels[2 if label == INSIDE else 3, h, w, d] = 1
    return channels


def _painted(
    values: Tensor, region: Region, shape: tuple[int, ...], *, threshold: float = 0.0
) -> Mask:
    """Return a mask on the case's grid, empty outside of the region."""
    mask = np.zeros(shape, bool)
    box, inside = inside_case(values, region, shape, threshold=threshold)
    mask[box] = inside
    return mask
