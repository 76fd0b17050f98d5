"""The talk's findings on few-shot adaptation, each as a difference that can be measured.

A finding says that some rows do better than others. Its measure is the mean difference in Dice over
the same structures and test cases, with a bootstrap interval over cases, and once for each seed. It
*appears* where the whole interval lies above zero, is *reversed* where it lies below, and is
*unclear* otherwise; "at least as good" allows a margin of one point.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from fmtutor.engine.metrics import bootstrap_mean

MARGIN = 0.01
"""Dice by which "at least as good" may be missed."""
Chooser = Callable[[pd.DataFrame], pd.Series]


def rows(*labels: str, preset: str = "faithful") -> Chooser:
    """Return a chooser of rows by their labels and preset."""
    return lambda frame: frame["row"].isin(labels) & (frame["preset"] == preset)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One claim as a comparison of two groups of rows of a table."""

    name: str
    """Short name."""
    claim: str
    """What the talk says, in our words."""
    table: str
    """"fseft-known" or "fseft-novel"."""
    better: Chooser
    """Rows that should do better."""
    worse: Chooser
    """Rows that they are compared with."""
    at_least: bool = False
    """Whether "as good" is enough."""
    kinds: tuple[str, ...] = ("unet", "swin")
    """Backbones it is about."""


PEFT = ("BitFit", "LoRA", "AdaptFormer", "Affine-LN", "Bias", "Affine-BN", "CNN-Adapter")
BLACK_BOX = ("Linear Probe", "Spatial Adapter")
OURS, TANG = "Fine-tuning (Ours)", "Fine-tuning (Tang et al., 2022)"
ADDITIVE, SELECTIVE = ("+LoRA", "+AdaptFormer"), ("+BitFit", "+Affine-LN")

FINDINGS = (
    Finding(
        name="black-box holds on known organs", table="fseft-known", at_least=True,
        claim="Where the base knows the organ, black-box adapters do as well as PEFT or better.",
        better=rows(*BLACK_BOX), worse=rows(*PEFT),
    ),
    Finding(
        name="spatial beats linear", table="fseft-known",
        claim="An adapter that looks around beats a linear probe.",
        better=rows("Spatial Adapter"), worse=rows("Linear Probe"),
    ),
    Finding(
        name="fine-tuning distorts", table="fseft-known",
        claim="Moving all weights with few cases loses what the base knew.",
        better=rows(*BLACK_BOX), worse=rows("full fine-tuning"),
    ),
    Finding(
        name="CNN-Adapter collapses", table="fseft-known", kinds=("unet",),
        claim="The CNN-Adapter falls far behind a linear probe, which trains less.",
        better=rows("Linear Probe"), worse=rows("CNN-Adapter"),
    ),
    Finding(
        name="its random start is the cause", table="fseft-known", kinds=("unet",),
        claim="Started at zero, the CNN-Adapter does not collapse.",
        better=rows("CNN-Adapter", preset="corrected"), worse=rows("CNN-Adapter"),
    ),
    Finding(
        name="black-box fails on new organs", table="fseft-novel", kinds=("swin",),
        claim="Features of a base that never saw an organ do not separate it.",
        better=rows("Decoder fine-tuning"), worse=rows(*BLACK_BOX),
    ),
    Finding(
        name="the decoder matters", table="fseft-novel", kinds=("swin",),
        claim="For new organs the decoder has to move: PEFT of the encoder alone is not enough.",
        better=rows("Decoder fine-tuning"), worse=rows(*PEFT),
    ),
    Finding(
        name="additive beats selective", table="fseft-novel", kinds=("swin",),
        claim="Beside a trained decoder, added parameters do more than chosen ones.",
        better=rows(*ADDITIVE), worse=rows(*SELECTIVE),
    ),
    Finding(
        name="supervised beats self-supervised", table="fseft-novel", kinds=("swin",),
        claim="A base trained with labels is a better start than one trained without.",
        better=rows(OURS), worse=rows(TANG),
    ),
    Finding(
        name="self-supervised beats scratch", table="fseft-novel", kinds=("swin",),
        claim="A base trained without labels is a better start than none.",
        better=rows(TANG), worse=rows("from scratch"),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A finding at one backbone and number of shots."""

    name: str
    kind: str
    shots: int
    difference: float
    """Mean Dice of the better rows minus that of the others."""
    low: float
    """Lower end of the 95 % interval over cases."""
    high: float
    """Upper end."""
    seeds: tuple[float, ...]
    """The difference of each seed."""
    structures_for: int
    """Structures in which the sign is as claimed."""
    structures: int
    verdict: str
    """"appears", "reversed" or "unclear"."""


def measure(
    frame: pd.DataFrame, finding: Finding, *, kind: str, shots: int, where: str = "test"
) -> Measured | None:
    """Measure a finding, or return None where the cells for it are not there.

    Only structures, cases and seeds that both groups have are compared.

    Args:
        frame: One row for each cell and case, with table, row, preset, kind, shots, seed,
            structure, case, where and dice.
        finding: What is claimed.
        kind: Backbone.
        shots: Size of the support.
        where: "test", or "real" for the real volumes.
    """
    chosen = (frame["table"] == finding.table) & (frame["where"] == where)
    part = frame[chosen & (frame["kind"] == kind) & (frame["shots"] == shots)]
    unit = ["seed", "structure", "case"]
    groups = [part[choose(part)].groupby(unit)["dice"].mean()
              for choose in (finding.better, finding.worse)]  # fmt: skip
    difference = (groups[0] - groups[1]).dropna()
    if difference.empty:
        return None
    by_case = difference.groupby(["structure", "case"]).mean()
    interval = bootstrap_mean(by_case, seed=0)
    by_structure = difference.groupby("structure").mean()
    return Measured(
        name=finding.name, kind=kind, shots=shots, difference=interval.mean,
        low=interval.low, high=interval.high,
        seeds=tuple(difference.groupby("seed").mean()),
        structures_for=int((by_structure > (-MARGIN if finding.at_least else 0)).sum()),
        structures=len(by_structure), verdict=_verdict(interval.low, interval.high, finding),
    )  # fmt: skip


def measure_all(frame: pd.DataFrame, findings: Sequence[Finding] = FINDINGS) -> list[Measured]:
    """Measure every finding wherever its cells are there."""
    shots = sorted(int(k) for k in frame["shots"].unique())
    found = (
        measure(frame, finding, kind=kind, shots=k)
        for finding in findings
        for kind in finding.kinds
        for k in shots
    )
    return [one for one in found if one is not None]


def _verdict(low: float, high: float, finding: Finding) -> str:
    least = -MARGIN if finding.at_least else 0.0
    if low > least:
        return "appears"
    return "reversed" if high < least else "unclear"
