"""What annotations are worth: the same small network trained on masks of different making.

The images, the patches, their order and the first weights are the same; the masks alone differ.
Beside the masks that people clicked stand two made to order, with the Dice of the novices': *grown*
ones, too large everywhere, and *rough* ones, wrong by chance. If Dice told all, the networks
trained on the three would be equal.

The network is a small nnU-Net-like one at 6 mm, for a core and half a minute, with a sigmoid for
each structure: with a softmax, so short a training often ends in background. Scores are taken
on each case's own 3 mm grid, against the true masks. Taught in: 11
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import nn

from fmtutor.bench.annotation_crowd import STRUCTURES, worth_it
from fmtutor.bench.annotation_quality import moved, quality, smooth_noise
from fmtutor.bench.training import heads_of, parameter_groups
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.data.cases import Case
from fmtutor.data.patches import PatchConfig, PatchStream
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.resampling import resample_case, to_grid
from fmtutor.data.transforms import normalise
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.engine.inference import segment
from fmtutor.engine.metrics import dice
from fmtutor.engine.prediction import Prediction
from fmtutor.paradigms import config_of
from fmtutor.paradigms.reference import nnunet_like

Mask = Bool[np.ndarray, "H W D"]
Masks = Mapping[str, Mask]
"""Structure to mask, on the case's grid; a structure that is not there is absent."""
OVERLAP = 0.25
"""Of the windows of a prediction: half as many as `nnunet_like.predict` takes."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The small network and its training; the same for all label sets."""

    spacing_mm: float = 6.0
    """Voxel edge that images and masks are brought to."""
    patch: tuple[int, int, int] = (32, 32, 16)
    """Voxels of a patch."""
    channels: tuple[int, ...] = (8, 16, 32, 64)
    """Features per level."""
    batch: int = 2
    """Patches of a step."""
    steps: int = 200
    """Optimiser steps."""
    lr: float = 4e-3
    """Peak learning rate of AdamW; the heads' is ten times that."""
    structures: tuple[str, ...] = STRUCTURES
    """Classes, in order; where two masks meet, the first has the voxel."""

    @property
    def protocol(self) -> Protocol:
        """What the label sets annotate."""
        return Protocol("annotated", tuple(Region.of(name) for name in self.structures))


@dataclass(frozen=True, eq=False)
class AnnotatedCases:
    """Cases with masks of someone's making, as a source of patches."""

    cases: tuple[Case, ...]
    protocol: Protocol

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Case:
        return self.cases[index]


def labelled(case: Case, masks: Masks, training: Training) -> Case:
    """Return the case with these masks for labels, at the training's spacing.

    A coarse voxel belongs to a structure that covers at least half of it (interpolated), so that
    a border moved by less than a voxel is still seen on average.
    """
    edges = (training.spacing_mm,) * 3
    bare = replace(case, labels=None, table={}, known=frozenset())
    coarse = resample_case(bare, edges)
    grid = coarse.grid
    labels = np.zeros(grid.shape, np.uint8)
    for number, name in reversed(list(enumerate(training.structures, 1))):
        if name in masks:
            share = to_grid(masks[name].astype(np.float32), case.grid, grid)
            labels[share >= 0.5] = number
    table = dict(enumerate(training.structures, 1))
    return replace(coarse, labels=labels, table=table, known=frozenset(training.structures))


def true_masks(case: Case, structures: Sequence[str] = STRUCTURES) -> dict[str, Mask]:
    """Return the true masks of the structures that are annotated at all."""
    return worth_it(case, structures)


def made_to_order(masks: Masks, truths: Masks, case: Case, how: str) -> dict[str, Mask]:
    """Return masks with the Dice of given ones, and errors of another kind.

    Args:
        masks: Whose Dice is copied.
        truths: The truth of each.
        case: Their grid.
        how: "grown", or "rough" (smooth noise of 12 mm moves the border both ways, and the volume
            stays).

    Raises:
        ValueError: There is no such kind.
    """
    if how not in ("grown", "rough"):
        raise ValueError(f'masks are made "grown" or "rough", got {how!r}; choose one.')
    found = {}
    for name, truth in truths.items():
        wanted = float(np.clip(dice(masks[name], truth), 0.1, 0.99))
        noise: Any = 1.0
        if how == "rough":
            rng = rng_of("rough", case.name, name)
            noise = smooth_noise(truth.shape, rng, sigma_mm=12.0, spacing_mm=case.spacing_mm)
        found[name] = moved(
            truth, wanted, case.spacing_mm, direction=noise, keep_volume=how == "rough"
        )
    return found


def trained_on(cases: Sequence[Case], training: Training, *, seed: int) -> nn.Module:
    """Train the small network on labelled cases from random weights.

    Args:
        cases: Of `labelled`.
        training: The network and its length.
        seed: Of weights and patches; equal for label sets that are compared.
    """
    words = nnunet_like.vocabulary([training.protocol])
    strides = ((1, 1, 1), *[(2, 2, 2)] * (len(training.channels) - 1))
    config = nnunet_like.Config(
        classes=training.structures, overlapping=True, channels=training.channels, strides=strides,
        patch=training.patch, batch=training.batch, spacing_mm=(training.spacing_mm,) * 3,
    )  # fmt: skip
    seed_everything(seed)
    model = nnunet_like.build(config)
    for head in heads_of(model):
        head.expect(0.05)  # type: ignore[operator]
    patches = PatchConfig(size=training.patch, batch=training.batch)
    source = AnnotatedCases(tuple(cases), training.protocol)
    stream = PatchStream([source], words, patches, seed=seed)
    fitting = FitConfig(
        steps=training.steps, lr=training.lr, warmup_steps=min(20, training.steps // 4),
        precision="fast", seed=seed,
    )  # fmt: skip
    groups = parameter_groups(model, lr=training.lr, head_lr=10 * training.lr)
    for _ in fit(model, nnunet_like.step, stream, fitting, groups=groups):
        pass
    return model.eval()


def segmented(model: nn.Module, case: Case) -> Prediction:
    """Segment a case with the small network, in few windows."""
    config = config_of(model)
    return segment(
        model, case, names=config.classes, spacing_mm=config.spacing_mm, patch=config.patch,
        overlap=OVERLAP,
    )  # fmt: skip


def scored(model: nn.Module, cases: Sequence[Case], training: Training) -> list[dict[str, Any]]:
    """Return a row for each case and structure of which there is enough: Dice, volume, border."""
    rows = []
    for case in cases:
        found = segmented(model, case)
        for structure, truth in worth_it(case, training.structures).items():
            numbers = quality(found.mask(structure), truth, case.spacing_mm)
            rows.append({"case": case.name, "structure": structure, **numbers})
    return rows


def entropy(model: nn.Module, case: Case) -> float:
    """Return how unsure a network is of a case: mean entropy in bits, over where it is unsure.

    Entropies of the structures are added up, and averaged over the tenth of the voxels
    with the most, as sure air would drown the rest.
    """
    found = segmented(model, case)
    p = torch.from_numpy(found.scores.astype(np.float32)).clamp(1e-6, 1 - 1e-6)
    bits = -(p * p.log2() + (1 - p) * (1 - p).log2()).sum(0).flatten()
    return float(bits.topk(max(1, len(bits) // 10)).values.mean())


def thumbnail(case: Case, side: int = 12) -> np.ndarray:
    """Return a small normalised picture of a volume as a vector of length 1, for comparing."""
    image = torch.from_numpy(normalise(case.image, case.modality))[None, None]
    small = nn.functional.adaptive_avg_pool3d(image, side).flatten()
    small = small - small.mean()
    return (small / small.norm().clamp_min(1e-6)).numpy()
