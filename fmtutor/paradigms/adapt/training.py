"""How a few cases teach: the published schedule, for images or for features kept of them.

Soft Dice alone with a smoothing of 1, AdamW without weight decay, a cosine to zero over the
schedule, and a stop when the training loss stands still. A step is one volume; an epoch shows each
volume of the support once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from fmtutor.core.devices import Precision
from fmtutor.data.few_shot import FewShotBatch
from fmtutor.engine.fit import FitConfig, Record, fit
from fmtutor.engine.stopping import PlateauStop
from fmtutor.losses.dice import dice_loss
from fmtutor.paradigms.adapt.network import FewShotNet
from fmtutor.paradigms.adapt.spec import Spec, groups, set_modes

EPOCHS = 199
"""Published length of a training, in epochs of as many steps as there are shots."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long, and how fast."""

    shots: int
    """Steps of an epoch."""
    steps: int = 0
    """Most steps; 0 takes the published 199 epochs."""
    lr_scale: float = 1.0
    """Factor on the published rates."""
    head_lr_scale: float | None = None
    """The same for a head with a rate of its own (preset corrected); None takes ``lr_scale``."""
    stop: bool = True
    """Stop when the training loss stands still."""
    precision: Precision = "auto"
    """Of `fmtutor.engine.fit`."""

    @property
    def most(self) -> int:
        """Steps of a training that nothing stops."""
        return self.steps or EPOCHS * self.shots


def train(
    net: FewShotNet,
    spec: Spec,
    batches: Callable[[int], FewShotBatch],
    schedule: Schedule,
    *,
    seed: int = 0,
    from_features: bool = False,
) -> Iterator[Record]:
    """Train what a spec trains, in place, and yield after each step.

    Args:
        net: A network of `fmtutor.paradigms.adapt.spec.adapted`.
        spec: Its spec.
        batches: Step to batch.
        schedule: Length, rates, stopping.
        seed: Of the global generators.
        from_features: The batches hold features of the backbone, not images; black-box only.

    Raises:
        ValueError: Features are given to a method that changes the backbone.
    """
    if from_features and not spec.how.black_box:
        raise ValueError(
            f"{spec.method} changes the backbone, so features kept of it do not hold; give images."
        )

    def step(model: nn.Module, batch: FewShotBatch) -> Tensor:
        set_modes(net, spec)
        logits = net.head(batch.input) if from_features else model(batch.input)
        return dice_loss(net.probabilities(logits.float()), batch.target, smooth="both")

    config = FitConfig(
        steps=schedule.most, lr=spec.how.lr, weight_decay=0.0, warmup_steps=0, clip_norm=None,
        precision=schedule.precision, seed=seed, prefetch=0,
    )  # fmt: skip
    parts = groups(net, spec, scale=schedule.lr_scale, head_scale=schedule.head_lr_scale)
    inner = parts[-1]["lr"] / parts[0]["lr"]  # a record tells the head's rate, which may differ
    stop, epoch = PlateauStop(), []
    for record in fit(net, step, batches, config, groups=parts):
        spec.how.after_step(net, record.lr * inner)
        epoch.append(record.loss)
        yield record
        if len(epoch) == schedule.shots:
            if schedule.stop and stop.after(sum(epoch) / len(epoch)):
                break
            epoch = []
    net.eval()
