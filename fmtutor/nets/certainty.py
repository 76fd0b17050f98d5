"""What a network that predicts no quality can say of its mask: how sure it is of it."""

import torch
from jaxtyping import Float
from torch import Tensor


def certainty(logits: Float[Tensor, "B M *grid"]) -> Float[Tensor, "B M"]:
    """Return the overlap (IoU) of each mask with its own probabilities; 1 if sure everywhere."""
    probability = logits.detach().sigmoid().flatten(2)
    inside = probability > 0.5
    shared = torch.where(inside, probability, 0.0).sum(2)
    united = torch.where(inside, 1.0, probability).sum(2)
    return (shared + 1) / (united + 1)  # the 1 keeps an empty mask from 0 / 0
