"""From a base network and a method to a network ready to train, and its optimiser's groups."""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.nets.freeze import parts, train_only
from fmtutor.paradigms.adapt import adaptation
from fmtutor.paradigms.adapt.method import DECODER_LR, HEAD_LR, PRESETS, Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

Scope = Literal["head", "inside", "decoder"]
"""What a row trains: a head alone, something inside a frozen backbone, or a decoder at least."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """One row of a table: a method, with the decoder frozen or trained, in a preset.

    Raises:
        ValueError: The method or the preset is unknown, or the decoder does not go with it.
    """

    method: str
    """A name in `fmtutor.paradigms.adapt.METHODS`."""
    decoder: bool = False
    """Train the decoder too: the rows "+ X" of the table on new organs."""
    preset: Preset = "faithful"
    """See `fmtutor.paradigms.adapt.method`."""

    def __post_init__(self) -> None:
        found = adaptation(self.method)
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {PRESETS}, got {self.preset!r}.")
        if self.decoder and not found.stacks_on_decoder:
            raise ValueError(
                f"{self.method} does not stack on a trained decoder: it is {found.family}; leave "
                "decoder=False."
            )

    @property
    def how(self) -> Method:
        """The method."""
        return adaptation(self.method)

    @property
    def scope(self) -> Scope:
        """What is trained, read off the published rate: 1e-4 as soon as a whole decoder is."""
        if self.how.black_box:
            return "head"
        return "decoder" if learning_rate(self) == DECODER_LR else "inside"


def adapted(
    backbone: nn.Module,
    spec: Spec,
    *,
    row: tuple[Tensor, Tensor] | None = None,
    outputs: int = 1,
) -> FewShotNet:
    """Return a network of a copy of the backbone with the method put in, ready to train.

    New weights come from torch's global generator.

    Args:
        backbone: The base's; it stays as it is.
        spec: What to do with it.
        row: Weight (E,) and bias () of the base's head for this structure, or (L, E) and (L,) for
            several after their background. The corrected preset and zero-shot start from it; the
            faithful preset starts from a random head, as in the published tables.
        outputs: L, of the head; see `FewShotNet`.

    Raises:
        ValueError: The method has no place in this backbone, or zero-shot has no row.
    """
    net, how = FewShotNet(copy.deepcopy(backbone), outputs), spec.how
    if net.kind not in how.kinds:
        raise ValueError(
            f"{how.name} is placed in {how.kinds}, got a backbone of kind {net.kind!r}; choose "
            "another method or base."
        )
    if how.family == "none" and row is None:
        raise ValueError(
            "zero-shot asks the base's own head, which has no class of this structure; teach one."
        )
    how.insert(net, spec.preset)
    if row is not None and (spec.preset == "corrected" or how.family == "none"):
        start_from(net, *row)
    freeze(net, spec)
    return net


def start_from(net: FewShotNet, weight: Float[Tensor, "*L E"], bias: Float[Tensor, "*L"]) -> None:
    """Start the head from a row of another one, or from several."""
    with torch.no_grad():
        net.classifier.weight.copy_(weight.view_as(net.classifier.weight))
        net.classifier.bias.copy_(bias.view_as(net.classifier.bias))  # type: ignore[union-attr]


def freeze(net: FewShotNet, spec: Spec) -> int:
    """Make trainable what the spec trains, and nothing else; return how many parameters that is."""
    how = spec.how
    if how.family == "none":
        return train_only(net)
    patterns = ["classifier", *how.trained(net, spec.preset)]
    if spec.decoder:
        patterns += decoder_patterns(net)
    return train_only(net, *patterns)


def decoder_patterns(net: FewShotNet) -> list[str]:
    """Return the patterns of the decoder: what the published code calls so by name."""
    return [f"backbone.{name}" for name in parts(net.backbone, "decoder")]


def learning_rate(spec: Spec) -> float:
    """Return the published learning rate of the row, before any scaling."""
    return DECODER_LR if spec.decoder else spec.how.lr


def groups(
    net: FewShotNet, spec: Spec, *, scale: float = 1.0, head_scale: float | None = None
) -> list[dict[str, Any]]:
    """Return the optimiser's groups: one rate if faithful, a rate for the head if corrected.

    Args:
        net: A network of `adapted`.
        spec: Its spec.
        scale: Factor on all rates, for runs that are shorter than the published ones.
        head_scale: The same for a head with a rate of its own; None takes ``scale``.
    """
    lr = learning_rate(spec) * scale
    head = [p for p in net.classifier.parameters() if p.requires_grad]
    inner = [
        p for name, p in net.named_parameters()
        if p.requires_grad and not name.startswith("classifier.")
    ]  # fmt: skip
    own = HEAD_LR * (scale if head_scale is None else head_scale)
    head_lr = lr if spec.preset == "faithful" else own
    return [{"params": part, "lr": rate} for part, rate in ((head, head_lr), (inner, lr)) if part]


def set_modes(net: FewShotNet, spec: Spec) -> None:
    """Put the network into the published mode: evaluation, but for what the method names."""
    net.eval()
    for name in spec.how.train_mode(net):
        net.get_submodule(name).train()
