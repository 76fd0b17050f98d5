"""The cells of the few-shot tables: every row, structure, number of shots and seed.

A *cell* is one adaptation: a base, a method, a structure, a support. A *setting* is what all cells
of a table share at one scale.

``quick`` has the published rows and rules on the virtual target centre with small networks. AdamW
moves a weight by about its rate in a step, so the distance that a logit may go grows with rate x
steps x features. With a tenth of the steps and a quarter (Swin) or an eighth (U-Net) of the
features, equal distance would ask for 40 and 80 times the published rates. What a row trains
(`fmtutor.paradigms.adapt.spec.Scope`) decides what that does to it, as trials outside the tables'
seeds have shown (``benchmarks/few_shot/rates.py``):

* a head on features that are kept: steps cost little, so it takes 300 at 10 times the rates, and a
  spatial adapter no longer falls to "nothing here", as it did in some draws at 30;
* something inside a frozen backbone, published at 1e-3 to 1e-2: 100 steps at 30 times;
* a decoder, or all, published at 1e-4: 100 steps at 100 times; at 30 the loss had hardly begun to
  fall from a random head.

Rows of one scope share their factor: between them, proportions stay as published.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from fmtutor.bench.few_shot_tasks import FLARE22, KNOWN_PAPER, KNOWN_QUICK
from fmtutor.core.tables import lookup
from fmtutor.paradigms.adapt.method import Preset
from fmtutor.paradigms.adapt.network import Kind
from fmtutor.paradigms.adapt.spec import Scope, Spec

TABLES = ("fseft-known", "fseft-novel", "fseft-flare22")
"""The third is the published multi-class form on FLARE22; the talk prints no values for it."""
SEEDS = (0, 1, 2)
GLUTEUS = tuple(
    f"gluteus_{part}_{side}"
    for part in ("maximus", "medius", "minimus")
    for side in ("left", "right")
)
LUNG = (
    "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right",
    "lung_middle_lobe_right", "lung_lower_lobe_right",
)  # fmt: skip
HEART = (
    "heart_myocardium", "heart_atrium_left", "heart_atrium_right", "heart_ventricle_left",
    "heart_ventricle_right",
)  # fmt: skip
FAMILIES = {"Lung": LUNG, "Heart": HEART, "Gluteus": GLUTEUS}
"""Columns of the table on new organs, and their structures."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table."""

    label: str
    """As printed in the talk, or ours."""
    kind: Kind
    """Backbone."""
    method: str
    decoder: bool = False
    preset: Preset = "faithful"
    base: str = "supervised"
    """"supervised", "self-supervised" or "random"."""


@dataclass(frozen=True, kw_only=True)
class Cell(Row):
    """One adaptation of a table."""

    table: str
    structure: str
    """Or the multi-class task, `fmtutor.bench.few_shot_tasks.FLARE22`."""
    shots: int
    seed: int
    """Of the support's draw and of new weights."""

    @property
    def name(self) -> str:
        """A name for files, different for every cell."""
        parts = (
            self.kind, self.method, "decoder" if self.decoder else "", self.base, self.preset,
            self.structure, f"{self.shots}shot", f"seed{self.seed}",
        )  # fmt: skip
        return "-".join(part for part in parts if part)

    @property
    def spec(self) -> Spec:
        """The method as the kit takes it."""
        return Spec(method=self.method, decoder=self.decoder, preset=self.preset)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the cells of a table share at one scale."""

    data: str
    """"virtual" (the target centre), or of a folder "totalsegmentator-v1" or "flare22"."""
    spacing_mm: tuple[float, float, float]
    patch: dict[str, tuple[int, int, int]]
    """Voxels of a patch, by kind of backbone."""
    batch: dict[str, int]
    """Patches of a step, all of one volume, by kind; published: 6."""
    steps: dict[str, int]
    """Most optimiser steps, by scope; 0 takes the published 199 epochs."""
    lr_scale: dict[str, float]
    """Factor on the published learning rates, by scope; a head with a rate of its own takes
    that of heads."""
    per_volume: int
    """K, crops of a volume whose features are kept for black-box methods; 0 draws anew."""
    tests: int
    """Test cases; published: 5."""
    pool: int
    """Cases that supports are drawn from; published: 30 to 41."""
    overlap: float = 0.25
    """Of the windows at test."""
    real: tuple[str, ...] = ()
    """Real volumes that are scored beside the tests."""
    precision: str = "auto"


_SCOPES = get_args(Scope)
_PUBLISHED_STEPS, _PUBLISHED_RATES = dict.fromkeys(_SCOPES, 0), dict.fromkeys(_SCOPES, 1.0)

QUICK = Setting(
    data="virtual", spacing_mm=(5.0, 5.0, 5.0), patch={"unet": (64, 32, 32), "swin": (64, 32, 32)},
    batch={"unet": 2, "swin": 1}, steps={"head": 300, "inside": 100, "decoder": 100},
    lr_scale={"head": 10.0, "inside": 30.0, "decoder": 100.0}, per_volume=6, tests=8, pool=30,
    real=("abdomen_ct_dicom",),
)  # fmt: skip
PAPER = Setting(
    data="totalsegmentator-v1", spacing_mm=(1.5, 1.5, 1.5),
    patch={"unet": (96, 96, 96), "swin": (96, 96, 96)}, batch={"unet": 6, "swin": 6},
    steps=_PUBLISHED_STEPS, lr_scale=_PUBLISHED_RATES, per_volume=0, tests=5, pool=0,
)  # fmt: skip
SETTINGS = {
    "quick": QUICK,
    "gpu": replace(QUICK, steps=_PUBLISHED_STEPS, lr_scale=_PUBLISHED_RATES,
                   batch={"unet": 6, "swin": 6}, per_volume=0, tests=20),
    "paper": PAPER,
}  # fmt: skip
FLARE22_PAPER = replace(PAPER, data="flare22", tests=22)

_PEFT = {
    "unet": (("CNN-Adapter", "cnn_adapter"), ("Bias", "bitfit"), ("Affine-BN", "affine")),
    "swin": (
        ("BitFit", "bitfit"),
        ("LoRA", "lora"),
        ("AdaptFormer", "adaptformer"),
        ("Affine-LN", "affine"),
    ),
}
_COSTLY = ("full_fine_tune",)
"""Rows of ours that the short profiles run with five shots only."""
Group = tuple[Sequence[Row], tuple[str, ...], tuple[int, ...]]
"""Rows, with the structures and the numbers of shots that each of them runs with."""
_BLACK_BOX = (("Linear Probe", "linear_probe"), ("Spatial Adapter", "spatial_adapter"))


def known_rows(kind: Kind) -> tuple[Row, ...]:
    """Return the published rows of one backbone on known organs, then ours."""
    published = [
        Row(label=label, kind=kind, method=name) for label, name in (*_PEFT[kind], *_BLACK_BOX)
    ]
    return (
        *published,
        Row(label="zero-shot", kind=kind, method="zero_shot"),
        Row(label="full fine-tuning", kind=kind, method="full_fine_tune"),
        Row(label="from scratch", kind=kind, method="full_fine_tune", base="random"),
    )


def novel_rows() -> tuple[Row, ...]:
    """Return the published rows on new organs, then training from scratch."""
    plus = [
        Row(label=f"+{label}", kind="swin", method=name, decoder=True)
        for label, name in _PEFT["swin"]
    ]
    ours, full = "Fine-tuning (Ours)", "Fine-tuning (Tang et al., 2022)"
    return (
        Row(label=full, kind="swin", method="full_fine_tune", base="self-supervised"),
        Row(label=ours, kind="swin", method="full_fine_tune"),
        *(Row(label=label, kind="swin", method=name) for label, name in _PEFT["swin"]),
        Row(label="Decoder fine-tuning", kind="swin", method="decoder_fine_tune"),
        *plus,
        *(Row(label=label, kind="swin", method=name) for label, name in _BLACK_BOX),
        Row(label="from scratch", kind="swin", method="full_fine_tune", base="random"),
    )


def corrected_rows() -> tuple[Row, ...]:
    """Return the rows of known organs whose published oddities the corrected preset removes."""
    wanted = {"unet": ("cnn_adapter", "linear_probe"), "swin": ("lora", "bitfit", "linear_probe")}
    rows = (*known_rows("unet"), *known_rows("swin"))
    return tuple(replace(row, preset="corrected") for row in rows if row.method in wanted[row.kind])


def cells_of(table: str, profile: str) -> tuple[Cell, ...]:
    """Return the cells of a table: fewer shots first, then seed by seed, so that a run cut short
    has whole seeds.

    Zero-shot has no support: it is one cell a structure, and none with the published bases, whose
    heads are generated from text.

    Raises:
        ValueError: The table or the profile is unknown.
    """
    lookup(SETTINGS, profile, "profile")
    groups: list[Group]
    if table == "fseft-novel":
        groups = [(novel_rows(), _novel_structures(profile), (5,))]
    else:
        lookup(dict.fromkeys(TABLES), table, "few-shot table")
        known = KNOWN_PAPER if profile == "paper" else KNOWN_QUICK
        organs = (FLARE22,) if table == "fseft-flare22" else known
        groups = [*_known_groups(profile, organs), (corrected_rows(), organs, (5,))]
    return tuple(
        Cell(**vars(row), table=table, structure=structure, shots=k, seed=seed)
        for k in sorted({k for *_, shots in groups for k in shots})
        for seed in SEEDS
        for rows, structures, shots in groups
        if k in shots
        for row in rows
        for structure in structures
        if row.method != "zero_shot" or (seed == SEEDS[0] and k == shots[0])
    )


def setting_of(table: str, profile: str) -> Setting:
    """Return what the cells of a table share.

    Raises:
        ValueError: The table or the profile is unknown.
    """
    lookup(dict.fromkeys(TABLES), table, "few-shot table")
    if (table, profile) == ("fseft-flare22", "paper"):
        return FLARE22_PAPER
    return lookup(SETTINGS, profile, "profile")


def _known_groups(profile: str, structures: tuple[str, ...]) -> list[Group]:
    rows = [*known_rows("unet"), *known_rows("swin")]
    if profile == "paper":  # published bases have no row of a head to ask
        rows = [row for row in rows if row.method != "zero_shot"]
    few = [] if profile == "paper" else [row for row in rows if row.method in _COSTLY]
    more = [row for row in rows if row not in few]
    return [(more, structures, (5, 10)), (few, structures, (5,))]


def _novel_structures(profile: str) -> tuple[str, ...]:
    return (*LUNG, *HEART, *GLUTEUS) if profile == "paper" else GLUTEUS
