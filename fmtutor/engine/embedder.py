"""A promptable network at work: images are embedded once, prompts are decoded at every step."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.devices import autocast
from fmtutor.core.prompts import Answer, Prompts
from fmtutor.data.cases import Case
from fmtutor.data.transforms import normalise
from fmtutor.engine.in_context import evaluating
from fmtutor.engine.looking import Looking

EMBEDDINGS = 6
"""Embeddings kept at once: an auto-zoom makes up to five."""


class Embedder:
    """Decodes prompts; images are embedded once and the last few embeddings are kept."""

    def __init__(self, model: nn.Module, looking: Looking, *, keep: int = EMBEDDINGS) -> None:
        self.model, self.keep = model, keep
        self.candidates, self.precision = looking.candidates, looking.precision
        parameter = next(model.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device
        self._low_shape: tuple[int, ...] | None = None
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def decode(self, key: Hashable, image: Callable[[], Tensor], prompts: Prompts) -> Answer:
        """Answer prompts (B = 1) about an image (1, 1, *grid), which is made only when needed.

        One click or box alone is ambiguous: if its training had candidates for it, the one that
        the network expects to overlap best is taken.
        """
        shown = prompts.points.shape[1] + (prompts.boxes is not None)
        ambiguous = self.candidates and prompts.mask is None and shown == 1
        with self._running():
            if key not in self._kept:
                self._kept[key] = self.model.embed(image().to(self.device))
            self._kept.move_to_end(key)
            while len(self._kept) > self.keep:
                self._kept.popitem(last=False)
            answer = self.model.decode(
                self._kept[key], prompts.to(self.device), candidates=ambiguous
            ).best()
        answer = Answer(**{name: value.float().cpu() for name, value in vars(answer).items()})
        self._low_shape = tuple(answer.low.shape[2:])
        return answer

    def mask_shape(
        self, key: Hashable, image: Callable[[], Tensor], prompts: Prompts
    ) -> tuple[int, ...]:
        """Return the shape of the network's own masks; the first time, a question tells it."""
        if self._low_shape is None:
            return tuple(self.decode(key, image, prompts).low.shape[2:])
        return self._low_shape

    @contextmanager
    def _running(self) -> Iterator[None]:
        with evaluating(self.model), torch.inference_mode(), autocast(self.precision, self.device):
            yield


def prepared(case: Case) -> tuple[Float[Tensor, "H W D"], str]:
    """Return the image in [0, 1], scaled by the whole case, and a note where it shows nothing."""
    image = np.asarray(case.image, np.float32)
    if bad := int((~np.isfinite(image)).sum()):
        raise ValueError(
            f"an image must be finite, got {bad} NaN or infinite voxels in case {case.name!r}; "
            "replace them (np.nan_to_num)."
        )
    scaled = torch.from_numpy(np.ascontiguousarray(normalise(image, case.modality), np.float32))
    constant = bool(scaled.min() == scaled.max())
    return scaled, "the image is constant: the answer rests on the prompts alone" * constant
