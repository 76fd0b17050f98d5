"""The losses of pretext tasks: which crops belong together, how they were turned, what is missing.

NT-Xent ("normalised temperature-scaled cross-entropy") asks of every view which of all the other
views shows the same crop. With z the normalised features of 2B views and p(i) the partner of view i

    L = mean over i of  -log  exp(z_i . z_p(i) / tau) / sum over k != i of exp(z_i . z_k / tau),

a cross-entropy whose classes are the other views. Crops of other places are what it learns from:
with B = 1 there are none, and it is 0 whatever the features are.

Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML
2020, eq. 1; Tang et al., CVPR 2022, for the three terms.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from fmtutor.core.axes import Image

TERMS = ("rotation", "contrast", "reconstruction")
"""The pretext tasks of Swin UNETR's pre-training."""


def nt_xent(
    first: Float[Tensor, "B E"], second: Float[Tensor, "B E"], *, temperature: float = 0.5
) -> Float[Tensor, ""]:
    """Return NT-Xent of B crops, each seen in two views.

    Args:
        first: Features of the first view of each crop; their length does not matter.
        second: Features of the second view, in the same order.
        temperature: tau; a lower one looks at the most similar of the others alone.
    """
    views = torch.cat([first, second])  # (2B, E)
    similarity = functional.cosine_similarity(views[:, None], views[None], dim=2) / temperature
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return functional.cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)


def pretext_terms(
    answers: Mapping[str, Tensor],
    *,
    rotation: Int[Tensor, " B"],
    target: Image,
    temperature: float = 0.5,
) -> dict[str, Float[Tensor, ""]]:
    """Return the loss of each pretext task that was answered.

    Args:
        answers: Of some of `TERMS`: logits of the turn (B, 4), features (B, E) whose first half are
            first views and whose second half their second views, the restored crop (B, 1, H, W, D).
        rotation: Quarter turns of each view, 0 to 3.
        target: Each view before anything was cut out of it.
        temperature: Of `nt_xent`.
    """
    terms = {}
    if "rotation" in answers:
        terms["rotation"] = functional.cross_entropy(answers["rotation"], rotation)
    if "contrast" in answers:
        first, second = answers["contrast"].chunk(2)
        terms["contrast"] = nt_xent(first, second, temperature=temperature)
    if "reconstruction" in answers:
        terms["reconstruction"] = functional.l1_loss(answers["reconstruction"], target)
    return terms


def pretext_loss(
    terms: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float]
) -> Float[Tensor, ""]:
    """Return the weighted sum of the terms.

    Args:
        terms: Of `pretext_terms`; at least one.
        weights: Weight of each term, published: all 1.
    """
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()
