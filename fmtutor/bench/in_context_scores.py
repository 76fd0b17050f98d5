"""The questions that `benchmarks/in_context_scores` asks of the in-context networks.

Every function returns rows of plain values, one a query, so that means and intervals are taken
when they are shown. All episodes are of held-out structures at the unseen centre; a *draw* is a
query with a support of its own, and no slice of its patient is in the support.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fmtutor.bench.in_context_systems import Answer, specific_unet, systems_of
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.episode_stream import fixed_episodes
from fmtutor.data.episodes import Episodes
from fmtutor.data.task_bank import Task, TaskBank, bank_of
from fmtutor.data.task_sources import novel_source
from fmtutor.engine.in_context import ensemble
from fmtutor.engine.sensitivity import answers, dice_each
from fmtutor.engine.support_selection import select

SUPPORTS = (1, 2, 4, 8, 16, 32)
FULL = 16
"""Support of every experiment that does not vary it."""
Rows = list[dict[str, Any]]


def held_out_bank(*, patients: int = 14, size: int = 64) -> TaskBank:
    """Return slices of the novel structures at the unseen centre."""
    return bank_of([novel_source(patients)], size=size)


def askable(bank: TaskBank) -> list[Task]:
    """Return the tasks with a full support of other patients for any query."""
    return [task for task in bank.tasks if _slices_beside(bank, task) >= FULL]


def _slices_beside(bank: TaskBank, task: Task) -> int:
    """Return how many slices the worst query leaves for its support."""
    patients = np.unique(bank.patient[bank.rows[task]], return_counts=True)[1]
    return int(patients.sum() - patients.max())


def _about(task: Task) -> dict[str, Any]:
    return {"structure": task.region, "axis": task.axis}


def _dice(answer: Answer, episode: Episodes) -> float:
    return float(dice_each(answer(episode) > 0.5, episode.target[:, 0]))


def support_size(models: Mapping[str, nn.Module], bank: TaskBank, *, draws: int) -> Rows:
    """Score every system with the first 1, 2, 4 ... examples of the same support."""
    rows: Rows = []
    for task in askable(bank):
        most = max(s for s in SUPPORTS if s <= _slices_beside(bank, task))
        for draw, episode in enumerate(
            fixed_episodes(bank, [task], supports=most, queries=draws, seed=1)
        ):
            for supports in (s for s in SUPPORTS if s <= most):
                asked = episode.first(supports)
                for name, answer in systems_of(models).items():
                    rows.append(
                        {**_about(task), "system": name, "query": draw, "draw": draw,
                         "support": supports, "dice": _dice(answer, asked)}
                    )  # fmt: skip
    return rows


def exchange(models: Mapping[str, nn.Module], bank: TaskBank, *, draws: int) -> Rows:
    """Score each query with its own support and with another structure's, seen along its axis."""
    rows: Rows = []
    tasks = askable(bank)
    for draw in range(draws):
        episodes = {t: fixed_episodes(bank, [t], supports=FULL, queries=1, seed=100 + draw)[0]
                    for t in tasks}  # fmt: skip
        for task, episode in episodes.items():
            others = [t for t in tasks if t.axis == task.axis and t.region != task.region]
            if not others:
                continue  # the only structure along its axis has nothing to be exchanged for
            rng = rng_of("exchange", task.name, draw)
            other = others[rng.integers(len(others))]
            wrong = replace(
                episode,
                support_images=episodes[other].support_images,
                support_masks=episodes[other].support_masks,
            )
            for name, answer in systems_of(models).items():
                rows.append(
                    {**_about(task), "system": name, "draw": draw, "other": other.region,
                     "support": FULL, "own": _dice(answer, episode),
                     "exchanged": _dice(answer, wrong)}
                )  # fmt: skip
    return rows


def ensembles(model: nn.Module, bank: TaskBank, *, draws: int, support: int = 8) -> Rows:
    """Average the answers to 1, 2, 4 and 8 random supports out of a pool of sixteen."""
    rows: Rows = []
    for task in askable(bank):
        for draw, e in enumerate(
            fixed_episodes(bank, [task], supports=FULL, queries=draws, seed=2)
        ):
            found = ensemble(
                model, e.query, e.support_images[0], e.support_masks[0],
                support=support, members=8, generator=rng_of("ensemble", task.name, draw),
            )  # fmt: skip
            maps = torch.as_tensor(found.members)
            for members in (1, 2, 4, 8):
                mean = maps[:members].mean(0)
                inside = mean > 0.5
                spread = maps[:members].var(0, unbiased=False)
                rows.append(
                    {**_about(task), "query": draw, "support": support, "members": members,
                     "dice": float(dice_each(inside, e.target[:, 0])),
                     "variance": float(spread[inside].mean()) if inside.any() else 0.0}
                )  # fmt: skip
    return rows


def selection(model: nn.Module, bank: TaskBank, *, draws: int) -> Rows:
    """Choose 1, 4 or 8 examples of a pool: at random, the nearest, or the most diverse."""
    rows: Rows = []
    for task in askable(bank):
        pool = min(24, _slices_beside(bank, task))
        for draw, e in enumerate(
            fixed_episodes(bank, [task], supports=pool, queries=draws, seed=3)
        ):
            for how in ("random", "nearest", "diverse"):
                for supports in (1, 4, 8):
                    rng = rng_of("selection", task.name, draw)
                    rows_of_pool = select(
                        e.support_images[0], e.query[0], supports, how=how, generator=rng
                    )
                    asked = _with_support(e, torch.as_tensor(rows_of_pool))
                    rows.append(
                        {**_about(task), "how": how, "support": supports, "query": draw,
                         "draw": draw, "dice": _dice(lambda x: answers(model, x), asked)}
                    )  # fmt: skip
    return rows


def _with_support(e: Episodes, rows: Tensor) -> Episodes:
    images, masks = e.support_images[:, rows], e.support_masks[:, rows]
    return replace(e, support_images=images, support_masks=masks)


def specific(
    models: Mapping[str, nn.Module], bank: TaskBank, *, draws: int, queries: int = 6
) -> Rows:
    """Train a U-Net on a support and ask it the same queries as the networks of examples.

    The support is of one half of the patients, the queries are of the other. Along the axial axis
    only: a U-Net has to be trained for every structure and draw.
    """
    rows: Rows = []
    for task in (t for t in askable(bank) if t.axis == "axial"):
        for draw in range(draws):
            asked = halves(bank, task, draw, queries)
            if asked is None:
                continue
            net, seconds = specific_unet(asked, seed=draw)
            maps = {name: answer(asked) for name, answer in systems_of(models).items()}
            with torch.inference_mode():
                maps["unet"] = net(asked.query)[:, 0].sigmoid()
            for name, probability in maps.items():
                dice = dice_each(probability > 0.5, asked.target[:, 0])
                rows.append(
                    {**_about(task), "system": name, "draw": draw, "support": FULL,
                     "dice": float(dice.mean()), "seconds": seconds if name == "unet" else 0.0}
                )  # fmt: skip
    return rows


def halves(bank: TaskBank, task: Task, draw: int, queries: int) -> Episodes | None:
    """Return queries of one half of the patients, all with one support of the other half.

    None where the half has fewer than a full support of slices.
    """
    rng, rows = rng_of("halves", task.name, draw), bank.rows[task]
    patients = rng.permutation(np.unique(bank.patient[rows]))
    shows = np.isin(bank.patient[rows], patients[: (len(patients) + 1) // 2])
    if shows.sum() < FULL or not (~shows).any():
        return None
    support = bank.pairs(task, rng.permutation(rows[shows])[:FULL])
    images, masks = bank.pairs(task, rng.permutation(rows[~shows])[:queries])
    count = len(images)
    return Episodes(
        query=images,
        target=masks > 0.5,
        support_images=support[0][None].expand(count, *support[0].shape),
        support_masks=support[1][None].expand(count, *support[1].shape),
        known=torch.ones(count, 1, dtype=torch.bool),
        names=(task.name,) * count,
    )


def resolution(model: nn.Module, *, patients: int, draws: int) -> Rows:
    """Ask for the same tasks at other sizes than that of training."""
    rows: Rows = []
    for size in (64, 96, 128):
        bank = held_out_bank(patients=patients, size=size)
        for task in askable(bank):
            for draw, e in enumerate(
                fixed_episodes(bank, [task], supports=FULL, queries=draws, seed=4)
            ):
                dice = _dice(lambda x: answers(model, x), e)
                rows.append({**_about(task), "size": size, "query": draw, "dice": dice})
    return rows
