"""What each method costs: parameters trained, their share of the network, the file they make.

Nothing is computed for it: the networks are built on torch's "meta" device, which has shapes and no
values.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from fmtutor.paradigms.adapt import METHODS, adaptation
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import Kind, kind_of
from fmtutor.paradigms.adapt.spec import Spec, adapted, decoder_patterns

KIB = 1024
FP32_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class AdaptationCost:
    """One row of the ledger; a list of them makes a table or a DataFrame."""

    method: str
    """Name in `fmtutor.paradigms.adapt.METHODS`."""
    title: str
    """As the talk's table of this backbone calls it."""
    decoder: bool
    """Whether the decoder is trained too."""
    trained: int
    """Parameters that require a gradient, head included."""
    in_head: int
    """Of these, in the head."""
    in_decoder: int
    """Of these, in the decoder."""
    share: float
    """Trained parameters over all parameters of the adapted network."""
    file_kib: float
    """Size of the trained values in fp32, as a file keeps them; its header adds little."""


def ledger_rows(backbone: nn.Module, *, preset: Preset = "faithful") -> list[AdaptationCost]:
    """Return the cost of every method that has a place in a backbone, in the order of the table.

    Args:
        backbone: A base's; only its shapes are looked at.
        preset: See `fmtutor.paradigms.adapt.method`.
    """
    base = copy.deepcopy(backbone).to("meta")
    rows = []
    for name in METHODS:
        how = adaptation(name)
        if kind_of(base) in how.kinds:
            for decoder in (False, True)[: 1 + how.stacks_on_decoder]:
                rows.append(cost_of(base, Spec(method=name, decoder=decoder, preset=preset)))
    return rows


def cost_of(base: nn.Module, spec: Spec) -> AdaptationCost:
    """Return one row of the ledger.

    Args:
        base: A backbone, best on the "meta" device.
        spec: What to do with it.
    """
    row = (torch.zeros(base.out_channels), torch.zeros(()))  # type: ignore[arg-type]
    net = adapted(base, spec, row=row)
    trained, head = trainable(net), trainable(net.classifier)
    decoder = sum(trainable(net.get_submodule(name)) for name in decoder_patterns(net))
    return AdaptationCost(
        method=spec.method,
        title=title_on(spec.how, net.kind),
        decoder=spec.decoder,
        trained=trained,
        in_head=head,
        in_decoder=decoder,
        share=trained / sum(p.numel() for p in net.parameters()),
        file_kib=trained * FP32_BYTES / KIB,
    )


def title_on(how: Method, kind: Kind) -> str:
    """Return a method's title in the table of one backbone: "Affine-LN / Affine-BN" has two."""
    swin, *unet = how.title.split(" / ")
    return unet[0] if unet and kind == "unet" else swin


def trainable(module: nn.Module) -> int:
    """Count the parameters that require a gradient."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def cost_table(rows: Sequence[AdaptationCost]) -> str:
    """Return rows as a Markdown table."""
    lines = [
        "| method | decoder | trained | in head | in decoder | share | file (KiB) |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        lines.append(
            f"| {row.title} | {'trained' if row.decoder else 'frozen'} | {row.trained:,} "
            f"| {row.in_head:,} | {row.in_decoder:,} | {row.share:.3%} | {row.file_kib:,.1f} |"
        )
    return "\n".join(lines)
