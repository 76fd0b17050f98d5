"""From a case to a prediction: working spacing, intensities, sliding window, and back."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from fmtutor.core.devices import Precision, autocast_dtype, best_device, use_channels_last
from fmtutor.core.tables import unknown_name
from fmtutor.data.cases import Case
from fmtutor.data.resampling import resample_case
from fmtutor.data.transforms import normalise
from fmtutor.engine.prediction import Prediction, largest_component
from fmtutor.engine.sliding_window import sliding_window

__all__ = ["Prediction", "largest_component", "segment"]


def segment(
    forward: Callable[[Tensor], Tensor],
    case: Case,
    *,
    names: Sequence[str],
    spacing_mm: tuple[float, float, float] | None,
    patch: Sequence[int],
    overlap: float = 0.5,
    activation: Literal["sigmoid", "softmax"] = "sigmoid",
    threshold: float = 0.5,
    device: torch.device | str | None = None,
    largest_component: Sequence[str] = (),
    wanted: Sequence[str] | None = None,
    precision: Precision = "auto",
) -> Prediction:
    """Segment a case with any network that maps an image to one logit map a class.

    A network is put into evaluation mode and moved to ``device`` for the time of the call; its
    training mode comes back.

    Args:
        forward: Normalised image (b, 1, *patch) to logits (b, L, *patch).
        case: Its image as read (HU for CT); its labels are not looked at.
        names: Name of each of the L channels; a softmax calls its own "background".
        spacing_mm: Spacing that the network was trained at; None is that of the case.
        patch: Window size in voxels of that spacing.
        overlap: Share of a window that its neighbour covers too.
        activation: "sigmoid", or "softmax" where classes exclude each other.
        threshold: Probability above which a voxel belongs to a sigmoid class.
        device: Where windows run; None is the network's own, or the best there is.
        largest_component: Classes of which only the largest connected part is kept.
        wanted: Classes to keep, for the memory of the others; None is all. Sigmoid only.
        precision: As in training.

    Raises:
        ValueError: A wanted class is not among the names, or the network has other channels.
    """
    device = torch.device(device) if device is not None else _device_of(forward)
    names = tuple(names)
    kept = _kept(names, wanted, activation)
    working = replace(case, labels=None, table={}, known=frozenset())
    if spacing_mm is not None:
        working = resample_case(working, spacing_mm)
    image = torch.from_numpy(normalise(working.image, working.modality))[None, None]

    def checked(window: Tensor) -> Tensor:
        logits = forward(window)
        if logits.shape[1] != len(names):
            raise ValueError(f"the network has {logits.shape[1]} channels, got {len(names)} names.")
        return logits

    with _Evaluating(forward, device, precision):
        scores = sliding_window(
            checked,
            image,
            patch=patch,
            overlap=overlap,
            activation=activation,
            channels=[names.index(name) for name in kept],
            device=device,
            precision=precision,
        )
    return Prediction(
        names=kept,
        scores=scores.numpy().astype(np.float16),
        grid=case.grid,
        working=working.grid,
        native=case.native,
        threshold=threshold,
        exclusive=activation == "softmax",
        largest_component=tuple(largest_component),
    )


def _kept(names: tuple[str, ...], wanted: Sequence[str] | None, activation: str) -> tuple[str, ...]:
    if wanted is None:
        return names
    if activation == "softmax":
        raise ValueError(
            "wanted must be None with softmax, as its classes compete; choose classes afterwards."
        )
    for name in wanted:
        if name not in names:
            raise unknown_name(name, names, "class of this network")
    return tuple(wanted)


def _device_of(forward: Callable[[Tensor], Tensor]) -> torch.device:
    first = next(forward.parameters(), None) if isinstance(forward, nn.Module) else None
    return best_device() if first is None else first.device


class _Evaluating:
    """Context in which a network (if it is one) stands on a device, in evaluation mode."""

    def __init__(
        self, forward: Callable[[Tensor], Tensor], device: torch.device, precision: Precision
    ) -> None:
        self.module = forward if isinstance(forward, nn.Module) else None
        self.device, self.precision = device, precision

    def __enter__(self) -> None:
        if self.module is not None:
            self.training = self.module.training
            self.module.eval().to(self.device)
            if autocast_dtype(self.precision, self.device) is not None:
                use_channels_last(self.module)

    def __exit__(self, *_: object) -> None:
        if self.module is not None:
            self.module.train(self.training)
