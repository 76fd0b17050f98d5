"""ARENA: LoRA that starts with too high a rank and loses what it does not need.

    W + B diag(v) A,    minimise  loss + lambda |v|_1

Rank 16 at the start, on the fused attention layers where LoRA is. After each step of the optimiser
v takes the proximal step of the penalty, which makes values exactly zero; `surviving_ranks` says
what is left of each layer.
"""

from torch import nn

from fmtutor.core.card import Card
from fmtutor.nets.arena import ArenaLinear
from fmtutor.nets.wrapping import names_of, wrap
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

RANK, PENALTY = 16, 0.1


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put a change of high rank on the fused layers."""
    names = [name for name in names_of(net, nn.Linear) if name.endswith(".attn.qkv")]
    wrap(net, names, lambda linear: ArenaLinear(linear, RANK))


def after_step(net: FewShotNet, lr: float) -> None:
    """Take the proximal step of the penalty in every layer."""
    for name in names_of(net, ArenaLinear):
        net.get_submodule(name).shrink(lr * PENALTY)


def surviving_ranks(net: FewShotNet) -> dict[str, int]:
    """Return how many directions are left in each layer, by its name."""
    return {name: net.get_submodule(name).rank for name in names_of(net, ArenaLinear)}


METHOD = Method(
    name="arena",
    title="ARENA",
    family="additive",
    lr=1e-3,
    kinds=("swin",),
    insert=insert,
    trained=lambda net, preset: ("*.low_rank_?",),
    after_step=after_step,
    options=(("rank", RANK), ("penalty", PENALTY)),
    card=Card(
        name="ARENA",
        title="Regularized low-rank adaptation for few-shot organ segmentation",
        year=2025,
        paper="https://arxiv.org/abs/2507.15793",
        code="https://github.com/ghassenbaklouti/ARENA",
        licence_code="not checked",
        licence_weights="none published",
        deviations=(
            "written from the abstract: start, penalty, places and rate are our choice",
            "the gradient step is AdamW's, so the threshold is not scaled as its steps are",
        ),
        notebook="13",
    ),
)
