"""Asking a 2D network about the axial slices of a volume, one question a slice.

SAM, MedSAM and SAM-Med2D see slices and nothing between them. A click is asked on its slice, a box
on each slice that it passes. Carrying an answer to the neighbours is a choice: each next slice is
asked with the box of the answer beside it, or with the deepest point in it, until nothing is found
or the structure is no longer the same. Embeddings are kept, one a slice.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor, nn

from fmtutor.core.prompts import Prompts
from fmtutor.data.cases import Case
from fmtutor.engine.embedder import Embedder, prepared
from fmtutor.engine.looking import Looking
from fmtutor.engine.regions_of_interest import Region, case_region, inside_case, lattice, resample
from fmtutor.engine.session_prompts import Focus
from fmtutor.engine.session_state import Asked, Click, previous_mask, prompts_on
from fmtutor.engine.volume_asker import EmbedText, Outcome, Painting

SLICES_KEPT = 64
"""Embeddings kept at once; the least recently asked slice is forgotten first."""
SAME_DICE = 0.3
"""Carrying on ends where two neighbouring answers overlap less than this (Dice)."""


class SliceAsker:
    """A 2D network on one case: frames slices in its square, brings answers back."""

    def __init__(
        self, model: nn.Module, case: Case, looking: Looking, embed_text: EmbedText | None = None
    ) -> None:
        self.looking, self.embed_text = looking, embed_text
        self.embedder = Embedder(model, looking, keep=SLICES_KEPT)
        self._image, self.note = prepared(case)
        self._air = float(self._image.min())
        self._shape: tuple[int, ...] = tuple(case.image.shape)
        self._step = self._pixels(case)

    def answer(self, asked: Asked, focus: Focus, structure: str) -> Outcome:
        """Answer on each slice that the newest prompt lies on, then carry on if that is wanted."""
        half = focus.extent[2] / 2
        first, last = round(focus.centre[2] - half), round(focus.centre[2] + half)
        depths = [depth for depth in range(first, last + 1) if self._says(asked, depth)]
        asked, paintings = self._over(asked, depths)
        note = self.note
        if self.looking.propagate != "none":
            asked, below = self._carried(asked, paintings[0], depths[0], -1)
            asked, above = self._carried(asked, paintings[-1], depths[-1], 1)
            paintings = [*paintings, *below, *above]
            note = "; ".join(filter(None, [note, f"on {len(paintings)} slices"]))
        return Outcome(asked=asked, paintings=tuple(paintings), note=note)

    def refine(self, asked: Asked) -> Outcome:
        """Ask again on each slice that the mask passes, with the mask so far."""
        span = asked.mask.box[2] if asked.mask else slice(0, 0)
        asked, paintings = self._over(asked, range(span.start, span.stop))
        note = f"asked again on {len(paintings)} slices"
        return Outcome(asked=asked, paintings=tuple(paintings), note=note)

    def frame(self, depth: int) -> Region:
        """Return the square around one slice: its longer side fills it, pixels are square in mm."""
        size = np.array([*self.looking.size, 1])
        middle = (np.array([*self._shape[:2], 1]) - 1) / 2 + [0, 0, depth]
        return lattice(middle - self._step * (size - 1) / 2, self._step, size)

    def _over(self, asked: Asked, depths: Iterable[int]) -> tuple[Asked, list[Painting]]:
        paintings = []
        for depth in depths:
            asked, painting = self._on_slice(asked, asked, depth)
            paintings.append(painting)
        return asked, paintings

    def _says(self, asked: Asked, depth: int) -> bool:
        """Whether any prompt is about a slice."""
        prompts = prompts_on(asked, self.frame(depth))
        drawn = prompts.scribbles is not None and bool(prompts.scribbles.any())
        return bool(asked.text) or prompts.boxes is not None or prompts.points.numel() > 0 or drawn

    def _on_slice(self, asked: Asked, prompted: Asked, depth: int) -> tuple[Asked, Painting]:
        """Ask about one slice with the prompts of ``prompted``; the answer joins ``asked``."""
        frame = self.frame(depth)
        text = self.embed_text(prompted.text) if self.embed_text and prompted.text else None
        prompts = flat(prompts_on(prompted, frame, text=text))

        def image() -> Tensor:
            cut = resample(self._image, case_region(self._shape), frame, fill=self._air)
            return cut[None, None, ..., 0]

        if self.looking.feedback and (asked.answers or asked.start):
            low = self.embedder.mask_shape(depth, image, prompts)
            last = previous_mask(asked, frame, (*low, 1))
            prompts = prompts.with_mask(None if last is None else last[..., 0])
        answer = self.embedder.decode(depth, image, prompts)
        painting = inside_case(
            answer.logits[0, 0, ..., None], frame, self._shape, threshold=self.looking.threshold
        )
        return asked.answered(frame, answer.low[0, 0, ..., None]), painting

    def _carried(
        self, asked: Asked, from_: Painting, depth: int, direction: int
    ) -> tuple[Asked, list[Painting]]:
        """Ask one slice after the other, each with what its neighbour's answer says."""
        found: list[Painting] = []
        beside = np.zeros(self._shape[:2], bool)
        beside[from_[0][:2]] = from_[1][..., 0]
        depth += direction
        while 0 <= depth < self._shape[2] and beside.any():
            prompted = self._carrying(asked, beside, depth)
            after, painting = self._on_slice(asked, prompted, depth)
            here = np.zeros_like(beside)
            here[painting[0][:2]] = painting[1][..., 0]
            if 2 * (here & beside).sum() < SAME_DICE * (here.sum() + beside.sum()):
                break
            asked, beside, depth = after, here, depth + direction
            found.append(painting)
        return asked, found

    def _carrying(self, asked: Asked, beside: Bool[np.ndarray, "H W"], depth: int) -> Asked:
        """Return the person's own prompts with what the neighbouring answer adds on this slice."""
        if self.looking.propagate == "box":
            at = np.argwhere(beside)
            (h, w), (h1, w1) = at.min(0).tolist(), at.max(0).tolist()
            return replace(asked, box=((h, w, depth), (h1, w1, depth)))
        deep = ndimage.distance_transform_edt(np.pad(beside, 1))[1:-1, 1:-1]
        h, w = np.unravel_index(int(deep.argmax()), beside.shape)
        return replace(asked, clicks=(*asked.clicks, Click((int(h), int(w), depth))))

    def _pixels(self, case: Case) -> Float[np.ndarray, "3"]:
        """Return the case's voxels a pixel along H, W and D."""
        spacing = np.array(case.spacing_mm[:2])
        pixel_mm = float((spacing * self._shape[:2] / np.array(self.looking.size)).max())
        return np.array([*(pixel_mm / spacing), 1.0])


def flat(prompts: Prompts) -> Prompts:
    """Return prompts on a volume of one slice as prompts on that slice."""
    return Prompts(
        points=prompts.points[..., :2],
        labels=prompts.labels,
        boxes=None if prompts.boxes is None else prompts.boxes[..., :2],
        scribbles=None if prompts.scribbles is None else prompts.scribbles[..., 0],
        text=prompts.text,
    )
