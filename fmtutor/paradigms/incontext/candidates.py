"""Candidates and what is done with them: Tyche-IS makes them, a mean folds them.

Source: Rakic et al., "Tyche", CVPR 2024, section 3.3 (inference-time stochasticity).
Taught in: 08
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.seeds import torch_rng
from fmtutor.data.task_augmentation import STILL, InTaskAugmentation, augment_in_task

Images = Float[Tensor, "B 1 *grid"]
Pairs = Float[Tensor, "B S 1 *grid"]
APPEARANCE_ONLY = InTaskAugmentation(motion=STILL)
"""Intensities, sharpness, blur and noise; nothing moves, so no mask has to be moved back."""


@torch.inference_mode()
def by_augmentation(
    model: nn.Module,
    query: Images,
    support_images: Pairs,
    support_masks: Pairs,
    *,
    candidates: int,
    generator: np.random.Generator,
    config: InTaskAugmentation = APPEARANCE_ONLY,
) -> Float[Tensor, "B M *grid"]:
    """Return the logits of M candidates from a network that answers once: Tyche-IS.

    The first candidate sees everything as it is. For each further one, the query and each image of
    the support get intensities, blur and noise of their own; never a geometry, so nothing has to
    be undone.

    Args:
        model: Such as UniverSeg, in evaluation mode.
        query: (B, 1, H, W).
        support_images: (B, S, 1, H, W).
        support_masks: (B, S, 1, H, W).
        candidates: M.
        generator: Of the augmentations.
        config: Their probabilities and ranges.
    """
    rows, answers = torch.cat([query[:, None], support_images], 1), []
    for number in range(candidates):
        flat = rows.flatten(0, 1)
        if number:
            flat = augment_in_task(flat, torch.zeros_like(flat), generator, config)[0]
        images = flat.unflatten(0, rows.shape[:2])
        answers.append(model(images[:, 0], images[:, 1:], support_masks))
    return torch.cat(answers, 1)


class MeanCandidate(nn.Module):
    """A network of candidates that answers with their mean probability, as one logit map."""

    def __init__(self, model: nn.Module, *, candidates: int, seed: int = 0) -> None:
        super().__init__()
        self.model, self.candidates, self.seed = model, candidates, seed

    def forward(
        self, query: Images, support_images: Pairs, support_masks: Pairs, **options: Any
    ) -> Images:
        """Return (B, 1, *grid); the candidates' noise is the same for every query and call."""
        shape = (1, self.candidates, *query.shape[1:])
        noise = torch.randn(shape, generator=torch_rng("candidates", self.seed)).to(query)
        noise = noise.expand(len(query), *shape[1:])
        logits = self.model(query, support_images, support_masks, noise=noise, **options)
        return logits.float().sigmoid().mean(1, keepdim=True).logit(1e-6)
