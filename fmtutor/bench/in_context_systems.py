"""What is compared on in-context episodes: networks, and the baselines that need no training set.

Every system is a function of one episode (query and support) to a probability map, so that all are
asked the same questions. The *nearest copy* hands out the mask of the support image most like the
query: what one gets without any segmentation. The *specific* network is a U-Net trained on the very
support and on nothing else: what a practitioner would do today.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.data.episodes import Episodes
from fmtutor.data.task_augmentation import InTaskAugmentation, augment_in_task
from fmtutor.engine.sensitivity import answers
from fmtutor.losses.in_context import dice_bce
from fmtutor.paradigms.incontext.candidates import MeanCandidate
from fmtutor.paradigms.incontext.tyche import Tyche

Answer = Callable[[Episodes], Float[Tensor, "B *grid"]]
COPY = "nearest_copy"
UNET_STEPS = 200
UNET_FEATURES = (16, 16, 32, 64, 128, 16)
"""1.2 M parameters in MONAI's BasicUNet, as many as UniverSeg has."""


def answer_of(model: nn.Module) -> Answer:
    """Return a network as a system; one of candidates answers with their mean of eight."""
    single = MeanCandidate(model, candidates=8) if isinstance(model, Tyche) else model
    return partial(answers, single.eval())


def nearest_copy(episodes: Episodes) -> Float[Tensor, "B *grid"]:
    """Return the mask of each query's nearest support image, by mean squared difference."""
    apart = (episodes.support_images - episodes.query[:, None]).pow(2).flatten(2).mean(2)
    rows = torch.arange(len(episodes.query))
    return episodes.support_masks[rows, apart.argmin(1), 0]


def systems_of(models: Mapping[str, nn.Module]) -> dict[str, Answer]:
    """Return networks by name, and the nearest copy, as systems."""
    return {**{name: answer_of(model) for name, model in models.items()}, COPY: nearest_copy}


def specific_unet(
    episode: Episodes, *, seed: int, steps: int = UNET_STEPS
) -> tuple[nn.Module, float]:
    """Train a U-Net on the support of one episode, augmented pair by pair.

    Args:
        episode: B = 1; its query is not looked at.
        seed: Of weights and augmentation.
        steps: Optimiser steps of eight pairs each (drawn with replacement).

    Returns:
        The network, (N, 1, H, W) to logits of the same shape, and the seconds of training.
    """
    from monai.networks.nets import BasicUNet

    seed_everything(seed)
    began, rng = time.perf_counter(), rng_of("specific", seed)
    net = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=UNET_FEATURES)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    images, masks = episode.support_images[0], episode.support_masks[0]
    known = torch.ones(8, 1, dtype=torch.bool)
    for _ in range(steps):
        chosen = torch.from_numpy(rng.integers(len(images), size=8))
        x, y = augment_in_task(images[chosen], masks[chosen], rng, InTaskAugmentation())
        loss = dice_bce(net(x), y > 0.5, known)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval(), time.perf_counter() - began
