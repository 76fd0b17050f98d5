"""What a method of adaptation is: where it goes in, how it starts, what it trains.

Two presets of each (`Preset`). *faithful* repeats the published runs, oddities included: one
learning rate for the head and the rest, position tables among the "biases", an adapter that starts
at random. *corrected* does what one would do knowing these: additions start at zero, the head has a
learning rate of its own and starts from the base's row for the structure, where it has one.

Source: Silva-Rodríguez, Dolz, Ben Ayed, "Towards foundation models and few-shot
parameter-efficient fine-tuning for volumetric organ segmentation", Medical Image Analysis 2025.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fmtutor.core.card import Card
from fmtutor.paradigms.adapt.network import FewShotNet, Kind

Preset = Literal["faithful", "corrected"]
PRESETS: tuple[Preset, ...] = ("faithful", "corrected")
Family = Literal["none", "black-box", "selective", "additive", "full"]

BOTH: tuple[Kind, ...] = ("swin", "unet")
HEAD_LR = 1e-2
"""Published rate of a linear probe, and of every head in the corrected preset."""
DECODER_LR = 1e-4
"""Published rate of everything, head included, as soon as the decoder is trained."""


def insert_nothing(net: FewShotNet, preset: Preset) -> None:
    """Add no module."""


def train_nothing(net: FewShotNet, preset: Preset) -> tuple[str, ...]:
    """Train no parameter but the head."""
    return ()


def step_nothing(net: FewShotNet, lr: float) -> None:
    """Leave the parameters as the optimiser left them."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to adapt a network with a few cases."""

    name: str
    """Key in `fmtutor.paradigms.adapt.METHODS`."""
    title: str
    """As the talk's tables call it."""
    family: Family
    """"none" trains nothing; "black-box" acts behind the backbone; "selective" trains some of its
    parameters; "additive" adds parameters to it; "full" trains whole parts of it."""
    card: Card
    """Paper, year, licence, deviations."""
    lr: float
    """Published learning rate of AdamW with a frozen decoder; of the head too, if faithful."""
    kinds: tuple[Kind, ...] = BOTH
    """Backbones that it is placed in."""
    insert: Callable[[FewShotNet, Preset], None] = insert_nothing
    """Put the new modules in, and start them."""
    trained: Callable[[FewShotNet, Preset], tuple[str, ...]] = train_nothing
    """Patterns of `fmtutor.nets.freeze.train_only` on the names of the network's parameters, beside
    the head's, which is always trained."""
    train_mode: Callable[[FewShotNet], tuple[str, ...]] = lambda net: ()
    """Modules of the network that run in training mode; "" is the whole. All others run in
    evaluation mode, as published."""
    after_step: Callable[[FewShotNet, float], None] = step_nothing
    """What follows the optimiser's step; gets the learning rate of that step."""
    stacks_on_decoder: bool = True
    """Whether the row "+ decoder" makes sense: not for what is black-box or trains it anyway."""
    options: tuple[tuple[str, int | float], ...] = ()
    """Ranks and the like, for the record."""

    @property
    def black_box(self) -> bool:
        """Whether the backbone stays as it is, so that its features can be kept."""
        return self.family in ("none", "black-box")
