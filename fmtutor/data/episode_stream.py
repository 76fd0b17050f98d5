"""Algorithm 1 of UniverSeg on one screen: sample a task, a query, a support; augment; stack.

for each episode of the batch
    task            ~ the bank's tasks, or a synthetic one            (`draw_pairs`)
    query, support  ~ slices of that task, different patients
    each pair       <- in-task augmentation, drawn for each pair
    all of them     <- task augmentation, drawn once: a new task
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.episodes import Episodes, stacked
from fmtutor.data.synthetic_tasks import random_shapes, super_pixels
from fmtutor.data.task_augmentation import (
    InTaskAugmentation,
    TaskAugmentation,
    augment_in_task,
    augment_task,
)
from fmtutor.data.task_bank import Task, TaskBank


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """How training episodes are drawn."""

    batch: int = 4
    """Episodes in a batch, each of its own task."""
    support: int = 8
    """Largest support; every batch draws its own size from 1 to this."""
    shapes: float = 0.1
    """Share of episodes whose task is made of random shapes."""
    super_pixels: float = 0.2
    """Share of episodes whose task is a super-pixel of a real image."""
    absent: float = 0.1
    """Share of the real episodes whose query need not show the region at all."""
    ambiguous: float = 0.0
    """Share of the real episodes with two right answers, see `EpisodeStream.two_readings`."""
    in_task: InTaskAugmentation = field(default_factory=InTaskAugmentation)
    """Augmentation of each pair by itself."""
    task: TaskAugmentation = field(default_factory=TaskAugmentation)
    """Augmentation of all pairs alike."""


class EpisodeStream:
    """Training batches: a pure function of position and seed, so that training can resume."""

    def __init__(self, bank: TaskBank, config: EpisodeConfig, *, seed: int = 0) -> None:
        self.bank, self.config, self.seed = bank, config, seed

    def __call__(self, position: int) -> Episodes:
        """Return the batch of a position."""
        rng = rng_of("episodes", self.seed, position)
        supports = int(rng.integers(1, self.config.support + 1))
        return stacked([self.episode(rng, supports) for _ in range(self.config.batch)])

    def episode(self, rng: np.random.Generator, supports: int) -> Episodes:
        """Draw one episode: the first pair is the query, the others are its support."""
        images, masks, name = self.draw_pairs(rng, supports + 1)
        images, masks = augment_in_task(images, masks, rng, self.config.in_task)
        images, masks = augment_task(images, masks, rng, self.config.task)
        return episode_from(images, masks, name)

    def draw_pairs(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, str]:
        """Draw a task and ``count`` image-mask pairs of it."""
        c, kind = self.config, rng.random()
        if kind < c.shapes:
            return *random_shapes(rng, grid=(self.bank.size,) * 2, count=count), "shapes"
        if kind < c.shapes + c.super_pixels:
            row = rng.integers(len(self.bank.images))
            image = self.bank.images[row].astype(np.float32) / 255
            return *super_pixels(image, rng, count=count), "super-pixel"
        task = self.bank.draw_task(rng)
        rows = self.bank.draw_rows(task, min(count, len(self.bank.rows[task])), rng)
        rows = np.resize(rows, count)  # a task with few slices repeats them, each augmented anew
        if rng.random() < c.absent:
            rows[0] = rng.choice(self.bank.every[task.source, task.axis])
        images, masks = self.bank.pairs(task, rows)
        if rng.random() < c.ambiguous:
            masks = self.two_readings(task, rows, masks, rng)
        return images, masks, task.name

    def two_readings(
        self, task: Task, rows: np.ndarray, masks: Tensor, rng: np.random.Generator
    ) -> Tensor:
        """Return masks of which each follows one of two protocols, by the toss of a coin.

        The protocols differ in whether a second region belongs to the first (as a tumour may belong
        to its organ); where no other region is in sight, one draws more generously than the other.
        The support then shows both readings, and the query's target is one of the two.
        """
        regions = self.bank.tree[task.source][task.modality][task.axis]
        for other in rng.permutation([name for name in regions if name != task.region])[:4]:
            second = self.bank.pairs(replace(task, region=str(other)), rows)[1]
            union = torch.maximum(masks, second)
            if (union > masks).flatten(1).sum(1).gt(0).float().mean() > 0.5:
                break
        else:
            union = functional.max_pool2d(masks, 5, stride=1, padding=2)
        coin = torch.from_numpy(rng.random(len(rows)) < 0.5)
        return torch.where(coin[:, None, None, None], union, masks)


def episode_from(images: Tensor, masks: Tensor, name: str) -> Episodes:
    """Return one episode: the first pair asks, the others show. Each (n, 1, *grid)."""
    return Episodes(
        query=images[None, 0],
        target=masks[None, 0] > 0.5,
        support_images=images[None, 1:],
        support_masks=masks[None, 1:],
        known=torch.ones(1, 1, dtype=torch.bool),
        names=(name,),
    )


def fixed_episodes(
    bank: TaskBank, tasks: Sequence[Task], *, supports: int, queries: int, seed: int = 0
) -> list[Episodes]:
    """Return episodes for scoring: nothing augmented, the same for every system.

    No slice of the query's own patient is in its support: a neighbouring slice with its mask would
    give the answer away.

    Args:
        bank: Slices of test cases.
        tasks: Which tasks; one with too few slices is refused.
        supports: S.
        queries: Episodes per task; each draws its query and support anew.
        seed: Of the draws.

    Raises:
        ValueError: A task has fewer than ``supports`` slices of other patients.
    """
    episodes = []
    for task in tasks:
        for number in range(queries):
            rng = rng_of("test episodes", seed, task.name, number)
            rows = bank.draw_test_rows(task, supports, rng)
            images, masks = bank.pairs(task, rows)
            episodes.append(episode_from(images, masks, task.name))
    return episodes
