"""Asking a 3D network about regions of a volume, and painting its answers onto the case."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.data.cases import Case
from fmtutor.engine.embedder import Embedder, prepared
from fmtutor.engine.looking import Looking
from fmtutor.engine.regions_of_interest import (
    ZOOM_LIMIT,
    ZOOM_STEP,
    Box,
    Numbers,
    Region,
    around,
    case_region,
    inside_case,
    resample,
    touches_border,
    whole,
)
from fmtutor.engine.session_prompts import Focus
from fmtutor.engine.session_state import Asked, previous_mask, prompts_on

BOX_SHARE = 0.8
"""A box may fill this share of a region; a larger one zooms out."""
AGREE = 0.7
"""Dice that a coarser answer must reach with the finer one, where both look, to be taken: below
it, larger voxels have made another answer of it, not a wider one. Chosen among 0, 0.5 and 0.7
with the real series in sight, and not tuned further."""
OVERLAP = 0.25
"""Share of a region by which refining tiles overlap."""

BORDER = "reaches the border of what is seen, and a wider look disagrees: click beyond it"
Painting = tuple[Box, Bool[np.ndarray, "x y z"]]
EmbedText = Callable[[str], Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What a question led to."""

    asked: Asked
    """The state with its new answers, its mask not yet painted."""
    paintings: tuple[Painting, ...]
    """Boxes of the case and the mask in each, in painting order."""
    note: str = ""
    """What a person should know beside the mask."""


class VolumeAsker:
    """A 3D network on one case: chooses regions, cuts them out, brings answers back.

    A prompt is asked in the region of the newest answer that holds it, else in an earlier one,
    else in a new one around the prompt. The newest answer replaces the mask in its region; outside
    of it the mask stays. A box too large for a region zooms out until it fits. With "auto_zoom" an
    answer that touches the border is asked again in wider, coarser regions, by 1.5 a time and up to
    4: that fills in what lies beyond, if the two agree; inside, the finer answer stays, and the
    next prompt is asked at the finer voxels again.
    """

    def __init__(
        self, model: nn.Module, case: Case, looking: Looking, embed_text: EmbedText | None = None
    ) -> None:
        self.looking, self.embed_text = looking, embed_text
        self.embedder = Embedder(model, looking)
        self._image, self.note = prepared(case)
        self._air = float(self._image.min())
        self._frame = (tuple(case.image.shape), case.spacing_mm)

    def answer(self, asked: Asked, focus: Focus, structure: str) -> Outcome:
        """Answer all prompts of a structure, looking where the newest one is."""
        region = self._region(asked, focus, structure)
        logits, after = self._decoded(asked, region)
        near, notes = self._painting(logits, region), [self.note]
        if self._edge_mm(region) > self.looking.spacing_mm * 1.05:
            notes.append(self._seen("seen", region))
        paintings: tuple[Painting, ...] = (near,)
        if self._reaches_out(logits, region) and self._wider(region) is not None:
            wide, far = self._further(asked, region)
            agrees = agreement(near, far) >= AGREE
            paintings = (far, near) if agrees else paintings
            notes.append(self._seen("beyond the border seen", wide) if agrees else BORDER)
        return Outcome(asked=after, paintings=paintings, note="; ".join(filter(None, notes)))

    def _further(self, asked: Asked, region: Region) -> tuple[Region, Painting]:
        """Ask in wider regions until the answer does not touch the border; return the last one."""
        reaches = True
        while reaches and (wider := self._wider(region)) is not None:
            region = wider
            logits, _ = self._decoded(asked, region)
            reaches = self._reaches_out(logits, region)
        return region, self._painting(logits, region)

    def _edge_mm(self, region: Region) -> float:
        return region.step[0] * self._frame[1][0]

    def _seen(self, what: str, region: Region) -> str:
        fine = self.looking.spacing_mm
        return f"{what} at {self._edge_mm(region):.1f} mm, refine for {fine:.1f} mm"

    def refine(self, asked: Asked) -> Outcome:
        """Ask again at the working spacing, in overlapping tiles where the mask is.

        A tile is shown the mask so far and those prompts that lie in it.
        """
        paintings: list[Painting] = []
        tiles = self._tiles(asked)
        for tile in tiles:
            logits, asked = self._decoded(asked, tile)
            paintings.append(self._painting(logits, tile))
        note = f"refined at {self.looking.spacing_mm:.1f} mm in {len(tiles)} regions"
        return Outcome(asked=asked, paintings=tuple(paintings), note=note)

    def _decoded(self, asked: Asked, region: Region) -> tuple[Float[Tensor, "h w d"], Asked]:
        text = self.embed_text(asked.text) if self.embed_text and asked.text else None
        prompts = prompts_on(asked, region, text=text)

        def image() -> Tensor:
            cut = resample(self._image, case_region(self._frame[0]), region, fill=self._air)
            return cut[None, None]

        if self.looking.feedback and (asked.answers or asked.start):
            low_shape = self.embedder.mask_shape(region, image, prompts)
            prompts = prompts.with_mask(previous_mask(asked, region, low_shape))
        answer = self.embedder.decode(region, image, prompts)
        return answer.logits[0, 0], asked.answered(region, answer.low[0, 0])

    def _painting(self, logits: Tensor, region: Region) -> Painting:
        return inside_case(logits, region, self._frame[0], threshold=self.looking.threshold)

    def _around(self, centre: Numbers, zoom: float = 1.0) -> Region:
        return around(
            centre,
            case=self._frame,
            size=self.looking.size,
            spacing_mm=self.looking.spacing_mm,
            zoom=zoom,
        )

    def _region(self, asked: Asked, focus: Focus, structure: str) -> Region:
        if self.looking.roi == "whole":
            return whole(
                case=self._frame, size=self.looking.size, spacing_mm=self.looking.spacing_mm
            )
        if self.looking.roi == "oracle":
            centres = self.looking.oracle_centres or {}
            if structure not in centres:
                raise ValueError(
                    f"the oracle rule needs the label's centre, got none for {structure!r}; "
                    "pass it in oracle_centres, or choose a rule that looks at prompts alone."
                )
            return self._around(centres[structure])
        half = np.array(focus.extent) / 2
        ends = np.array(focus.centre) + np.stack([-half, half])
        for old in reversed(asked.answers):
            if old.region.holds(ends).all():
                return old.region
        room = np.array(self.looking.size) * self.looking.spacing_mm * BOX_SHARE
        zoom = float((np.array(focus.extent) * self._frame[1] / room).max())
        return self._around(focus.centre, max(1.0, zoom))

    def _reaches_out(self, logits: Tensor, region: Region) -> bool:
        return self.looking.roi == "auto_zoom" and touches_border(
            logits, region, self._frame[0], threshold=self.looking.threshold
        )

    def _wider(self, region: Region) -> Region | None:
        """Return the next larger region about the same centre, None at the limit."""
        zoom = self._edge_mm(region) / self.looking.spacing_mm
        if zoom > ZOOM_LIMIT - 0.05:
            return None
        centre = region.to_case((np.array(region.shape) - 1) / 2)
        return self._around(centre, min(zoom * ZOOM_STEP, ZOOM_LIMIT))

    def _tiles(self, asked: Asked) -> list[Region]:
        """Return regions at the working spacing that cover the mask and overlap."""
        if asked.mask is None:
            return []
        low = np.array([part.start for part in asked.mask.box])
        high = np.array([part.stop for part in asked.mask.box])
        field = np.array(self.looking.size) * self.looking.spacing_mm / np.array(self._frame[1])
        counts = np.ceil(((high - low) / field - OVERLAP) / (1 - OVERLAP)).clip(1).astype(int)
        mask, tiles = asked.mask.unpack(), []
        for index in np.ndindex(*counts.tolist()):
            part = (np.array(index) + 0.5) / counts
            tile = self._around(list(low + (high - low) * part - 0.5))
            if mask[tile.box(self._frame[0])].any():
                tiles.append(tile)
        return list(dict.fromkeys(tiles))


def agreement(near: tuple[Box, np.ndarray], far: tuple[Box, np.ndarray]) -> float:
    """Return the Dice of two paintings in the box of the first; 0 where both are empty there."""
    (box, mask), (around_it, wide) = near, far
    shift = [n.start - f.start for n, f in zip(box, around_it, strict=True)]
    spans = [
        slice(max(0, s), max(0, min(n.stop, f.stop) - f.start))
        for s, n, f in zip(shift, box, around_it, strict=True)
    ]
    seen = np.zeros_like(mask)
    part = wide[tuple(spans)]
    first = [max(0, -s) for s in shift]
    seen[tuple(slice(a, a + n) for a, n in zip(first, part.shape, strict=True))] = part
    return 2 * int((mask & seen).sum()) / max(1, int(mask.sum()) + int(seen.sum()))
