"""What the levels of a backbone tell of a structure, and how far an adaptation moved them.

A level is a part of the encoder or decoder that gives one tensor. Notebooks 12 and 13 ask both.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.data.few_shot import FixedPatches, Volume
from fmtutor.nets.freeze import parts
from fmtutor.paradigms.adapt.network import kind_of

Voxels = tuple[Float[Tensor, "N E"], Bool[Tensor, " N"]]
"""Features of voxels, and whether each is in the structure."""


@torch.inference_mode()
def feature_shift(
    before: nn.Module, after: nn.Module, images: Float[Tensor, "B 1 H W D"]
) -> dict[str, float]:
    """Return how far the features of every level moved: |after - before| / |before|.

    Args:
        before: The base's backbone.
        after: The adapted one.
        images: What both see.

    Returns:
        Level of the network, in its order, to the relative distance.
    """
    one, other = _levels(before, images), _levels(after, images)
    return {name: float((other[name] - x).norm() / x.norm()) for name, x in one.items()}


def separability(
    backbone: nn.Module, support: Sequence[Volume], tests: Sequence[Volume], *, voxels: int = 1000
) -> dict[str, float]:
    """Return how well a linear map of the features of each level tells a structure from the rest.

    Voxels are drawn half in the structure and half outside of it, from four crops of each volume; a
    logistic regression on those of the support is judged by the area under the ROC curve on those
    of the tests: 0.5 is chance, 1 is perfect.

    Args:
        backbone: Frozen.
        support: Volumes to fit on.
        tests: Volumes to judge on.
        voxels: Of each crop.
    """
    fitted = _voxels_of(backbone, support, voxels)
    judged = _voxels_of(backbone, tests, voxels)
    return {name: _auc_of(fitted[name], judged[name]) for name in fitted}


@torch.inference_mode()
def _voxels_of(backbone: nn.Module, volumes: Sequence[Volume], count: int) -> dict[str, Voxels]:
    """Return features of drawn voxels, and whether they are in the structure, for each level."""
    size = QUICK.patch[kind_of(backbone)]
    crops = FixedPatches(volumes, size=size, batch=1, seed=0, per_volume=4)
    found: dict[str, list[Voxels]] = {}
    for number in range(len(crops)):
        image, target = crops[number]
        rng = torch.Generator().manual_seed(number)
        at = torch.cat([_drawn(mask, count // 2, rng) for mask in (target[0], ~target[0])])
        for name, level in _levels(backbone, image[None]).items():
            coarse = at * torch.tensor(level.shape[2:]) // torch.tensor(size)
            there = level[0][:, coarse[:, 0], coarse[:, 1], coarse[:, 2]].T
            found.setdefault(name, []).append((there, target[0][at[:, 0], at[:, 1], at[:, 2]]))
    return {
        name: (torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts]))
        for name, parts in found.items()
    }


def _drawn(mask: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Draw up to so many voxels of a mask (n, 3)."""
    inside = mask.nonzero()
    return inside[torch.randperm(len(inside), generator=rng)[:count]]


def _auc_of(fitted: Voxels, judged: Voxels) -> float:
    """Fit a logistic regression on some voxels; return its area under the ROC curve on others."""
    (x, y), (seen, truth) = fitted, judged
    mean, spread = x.mean(0), x.std(0) + 1e-6
    x, seen = (x - mean) / spread, (seen - mean) / spread
    weight = torch.zeros(x.shape[1] + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=60)

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = functional.binary_cross_entropy_with_logits(x @ weight[1:] + weight[0], y.float())
        value = value + 1e-3 * weight[1:].square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    ranks = rankdata((seen @ weight.detach()[1:]).numpy())
    inside = truth.numpy()
    n, m = int(inside.sum()), int((~inside).sum())
    return float((ranks[inside].sum() - n * (n + 1) / 2) / (n * m))


def _levels(backbone: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return the output of every part of a backbone that gives one tensor."""
    names = (*parts(backbone, "encoder"), *parts(backbone, "decoder"))
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        return lambda module, inputs, output: found.update({name: output})

    hooks = [backbone.get_submodule(n).register_forward_hook(keep(n)) for n in names]
    try:
        backbone.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: found[name] for name in names if isinstance(found.get(name), Tensor)}
