"""Transductive training: the volume that is asked about takes part, by the size of the structure.

Behind a frozen backbone a training is cheap enough to be done anew for every query. In the second
half of it each epoch ends with one step more, of the same optimiser, on the query's features: the
hinge of `fmtutor.losses.size_prior` on the share of the volume that the structure is given. No
label of the query is used.

The first half does not know the query, so it can be done once and gone on from for each of them,
to the same last bit (a test).

Source: Silva-Rodríguez, Dolz, Ben Ayed, workshop version of "Towards foundation models and few-shot
parameter-efficient fine-tuning for volumetric organ segmentation", MICCAI MedAGI 2023.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d

from fmtutor.data.few_shot import FewShotBatch
from fmtutor.engine.fit import CHECKPOINT_FILE, FitConfig, Record, fit
from fmtutor.engine.windows import Windows
from fmtutor.losses.dice import dice_loss
from fmtutor.losses.size_prior import MARGIN, WEIGHT, size_penalty
from fmtutor.paradigms.adapt.network import FewShotNet
from fmtutor.paradigms.adapt.spec import Spec, groups, set_modes
from fmtutor.paradigms.adapt.training import Schedule

POOLED = 2
"""Edge of the cubes of voxels whose features are averaged, as published."""


@dataclass(frozen=True, eq=False)
class Query:
    """A volume that is asked about: a batch without labels."""

    features: Float[Tensor, "1 E h w d"]
    """Of the backbone, as `query_features` gives them."""
    target: Float[Tensor, ""]
    """p*, the share of it that the structure should fill."""

    def to(self, device: torch.device | str) -> "Query":
        """Return the query on a device."""
        return Query(self.features.to(device), self.target.to(device))


@dataclass(frozen=True, kw_only=True)
class Transduction:
    """A training but for its query: what it learns from, for how long, what the size counts."""

    spec: Spec
    """A black-box method: adapter and head are all that moves."""
    batches: Callable[[int], FewShotBatch]
    """Supervised step to features of the support's patches."""
    schedule: Schedule
    """Whole epochs, two or more, and ``stop`` off."""
    margin: float = MARGIN
    """Of the penalty."""
    weight: float = WEIGHT
    """Of the penalty; 0 leaves the steps, which then follow the optimiser's momentum alone."""
    seed: int = 0
    """Of the global generators."""

    def __post_init__(self) -> None:
        if self.spec.how.family != "black-box":
            raise ValueError(
                "a query is taught on features that are kept, which only a black-box method leaves "
                f"valid, got {self.spec.method!r}; take linear_probe, mlp_adapter or "
                "spatial_adapter."
            )
        if self.schedule.stop:
            raise ValueError(
                "all queries share one length, so the plateau rule cannot end a training, got "
                "stop=True; set stop=False."
            )
        if self.schedule.most % self.schedule.shots or self.epochs < 2:
            raise ValueError(
                "a transductive training is at least two whole epochs, got "
                f"{self.schedule.most} steps in epochs of {self.schedule.shots}; take a multiple."
            )

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.schedule.most // self.schedule.shots

    @property
    def shared(self) -> int:
        """Steps of the first half, which no query changes."""
        return self.epochs // 2 * self.schedule.shots

    @property
    def steps(self) -> int:
        """Steps in all, those on the query among them."""
        return self.schedule.most + self.epochs - self.epochs // 2

    def supervised(self, step: int) -> int | None:
        """Return which supervised step a step is; None is one on the query."""
        if step < self.shared:
            return step
        epoch, place = divmod(step - self.shared, self.schedule.shots + 1)
        if place == self.schedule.shots:
            return None
        return self.shared + epoch * self.schedule.shots + place

    def batch(self, step: int, query: Query | None) -> FewShotBatch | Query:
        """Return the batch of a step.

        Raises:
            ValueError: It is a step on the query, and there is none.
        """
        number = self.supervised(step)
        if number is not None:
            return self.batches(number)
        if query is None:
            raise ValueError(
                f"from step {self.shared} on a training asks the query, got none at step {step}; "
                "use transduce."
            )
        return query


def query_features(
    windows: Windows, features: Sequence[Float[Tensor, "E *patch"]]
) -> Float[Tensor, "1 E h w d"]:
    """Return a volume's features, blended over its windows as answers are, and pooled.

    Args:
        windows: Of the volume.
        features: Of each window.
    """
    blended = windows.blend_classes(
        lambda numbers: torch.stack([features[number] for number in numbers]),
        lambda found: found, classes=len(features[0]),
    )[None]  # fmt: skip
    return avg_pool3d(blended, POOLED, ceil_mode=True, count_include_pad=False)


def begin(net: FewShotNet, asked: Transduction, folder: Path) -> Iterator[Record]:
    """Do the first half in place, and leave in a folder what `transduce` goes on from."""
    for record in _records(net, asked, None, folder):
        yield record
        if record.step + 1 == asked.shared:
            break
    net.eval()


def transduce(
    net: FewShotNet, asked: Transduction, query: Query, *, begun: Path | None = None
) -> Iterator[Record]:
    """Train a network for one query in place, and yield after each step.

    Args:
        net: A network of `fmtutor.paradigms.adapt.spec.adapted`; gone on with, its weights are
            those of the folder.
        asked: How.
        query: What it is to be asked.
        begun: Folder of `begin`, which stays as it is; None does the first half too.

    Raises:
        ValueError: The folder holds no first half, or the network answers several structures.
    """
    if begun is None:
        yield from _records(net, asked, query, None)
    else:
        if not (begun / CHECKPOINT_FILE).exists():
            raise ValueError(f"a folder of `begin` holds {CHECKPOINT_FILE}, {begun} has none.")
        with TemporaryDirectory() as folder:
            shutil.copytree(begun, folder, dirs_exist_ok=True)
            yield from _records(net, asked, query, Path(folder))
    net.eval()


def _records(
    net: FewShotNet, asked: Transduction, query: Query | None, folder: Path | None
) -> Iterator[Record]:
    spec, schedule, outputs = asked.spec, asked.schedule, net.classifier.out_channels
    if outputs != 1:
        raise ValueError(
            f"a prior on size is about one structure, got a head of {outputs} outputs; teach one "
            "structure at a time."
        )

    def step(_model: nn.Module, batch: FewShotBatch | Query) -> Tensor:
        set_modes(net, spec)
        inputs = batch.features if isinstance(batch, Query) else batch.input
        probability = torch.sigmoid(net.head(inputs).float())
        if isinstance(batch, Query):
            return size_penalty(probability, batch.target, margin=asked.margin, weight=asked.weight)
        return dice_loss(probability, batch.target, smooth="both")

    # The checkpoint that queries share is written where the first half ends.
    config = FitConfig(
        steps=asked.steps, lr=spec.how.lr, weight_decay=0.0, warmup_steps=0, clip_norm=None,
        precision=schedule.precision, seed=asked.seed, prefetch=0, checkpoint_every=asked.shared,
    )  # fmt: skip
    parts = groups(net, spec, scale=schedule.lr_scale, head_scale=schedule.head_lr_scale)
    yield from fit(
        net, step, lambda number: asked.batch(number, query), config, folder=folder, groups=parts
    )
