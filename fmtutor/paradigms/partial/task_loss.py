"""Tasks of systems that answer one dataset at a time: their channels, softmax or sigmoid, loss.

A task is a protocol with channels of its own. Where its regions exclude each other it declares a
background, the complement of what it annotates, and has a softmax; where they overlap (a lesion
inside the liver) no softmax can be right, and it has sigmoids.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.axes import Image, Logits, Task
from fmtutor.data.batches import Batch
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.losses.declared import declared_softmax_loss
from fmtutor.losses.partial import partial_loss

Tasks = tuple[tuple[str, ...], ...]
Outputs = tuple[tuple[int, ...], ...]


def tasks_of(words: Vocabulary, *, system: str) -> tuple[Tasks, tuple[bool, ...]]:
    """Return per task the names of its channels, and whether its regions exclude each other.

    Args:
        words: A vocabulary laid out per protocol.
        system: The module that asks, for the message.

    Raises:
        ValueError: A channel is shared by protocols: then it belongs to no task.

    Example:
        >>> words = Vocabulary.per_protocol([Protocol("a", ()), Protocol("b", ())])
        >>> tasks_of(words, system="med3d")
        (((), ()), (True, True))
    """
    if words.names != Vocabulary.per_protocol(words.protocols).names:
        raise ValueError(
            f"{system} needs one channel per protocol and region, got shared ones; "
            f"make the vocabulary with {system}.vocabulary(protocols)."
        )
    tasks = tuple(Vocabulary.per_protocol([protocol]).names for protocol in words.protocols)
    return tasks, tuple(_exclude_each_other(protocol) for protocol in words.protocols)


def _exclude_each_other(protocol: Protocol) -> bool:
    structures = [region.structures for region in protocol.regions]
    return len(frozenset().union(*structures)) == sum(map(len, structures))


def task_columns(tasks: Tasks, number: int) -> list[int]:
    """Return the channels of a task.

    Example:
        >>> task_columns((("a/liver",), ("b/spleen", "b/liver")), 1)
        [1, 2]
    """
    first = sum(map(len, tasks[:number]))
    return [*range(first, first + len(tasks[number]))]


def one_versus_rest(logits: Float[Tensor, "B K H W D"]) -> Float[Tensor, "B N H W D"]:
    """Return z_k - log sum_{j != k} exp(z_j) for all but the last channel (the background).

    Its sigmoid is exactly the softmax probability of class k, so softmax and sigmoid tasks can
    be answered by one map.
    """
    others = [
        torch.cat([logits[:, :k], logits[:, k + 1 :]], dim=1).logsumexp(1)
        for k in range(logits.shape[1] - 1)
    ]
    return logits[:, :-1] - torch.stack(others, dim=1)


def shared_outputs(tasks: Tasks, fixed: Outputs = ()) -> Outputs:
    """Return per task the output of a shared layer that each of its classes reads.

    The layer has as many outputs as the largest task has classes. A class takes the output that
    another task gave to its name, so that a liver is a liver in every task, and else the first
    that is free in its task; the largest tasks choose first. Where no name is shared (the published
    tasks of UniSeg) each task reads the first outputs in order.

    Args:
        tasks: Per task, its classes, "dataset/region".
        fixed: Outputs of the first tasks, which have chosen before.

    Example:
        >>> shared_outputs((("a/liver", "a/tumour"), ("b/spleen", "b/tumour", "b/liver")))
        ((2, 1), (0, 1, 2))
    """
    chosen = dict(enumerate(fixed))
    home: dict[str, int] = {}
    for number in (*chosen, *sorted(range(len(fixed), len(tasks)), key=lambda n: -len(tasks[n]))):
        names = [full.partition("/")[2] or full for full in tasks[number]]
        if number not in chosen:
            chosen[number] = _choose([home.get(name) for name in names])
        for name, output in zip(names, chosen[number], strict=True):
            home.setdefault(name, output)
    return tuple(chosen[number] for number in range(len(tasks)))


def _choose(wanted: Sequence[int | None]) -> tuple[int, ...]:
    """Give each class the output that it wants and no class before it has, or the first free."""
    own = [n if n not in wanted[:place] else None for place, n in enumerate(wanted)]
    free = (n for n in count() if n not in own)
    return tuple(next(free) if n is None else n for n in own)


def in_own_channels(
    logits: Float[Tensor, "B N H W D"], task: Task, tasks: Tasks, outputs: Outputs
) -> Logits:
    """Put each sample's outputs where the vocabulary has its task; the rest is 0.

    Args:
        logits: Of a layer that all tasks share.
        task: Of each sample.
        tasks: Per task, its classes.
        outputs: Per task, the channel of ``logits`` that each class reads.
    """
    out = logits.new_zeros(len(logits), sum(map(len, tasks)), *logits.shape[2:])
    for number in task.unique().tolist():
        rows = (task == number).nonzero()[:, 0]
        columns = torch.tensor(task_columns(tasks, number), device=task.device)
        read = torch.tensor(outputs[number], device=task.device)
        out[rows[:, None], columns] = logits[rows[:, None], read]
    return out


class TaskAnswers(nn.Module):
    """A model bound to the tasks that it is asked for, as a map of images to logits.

    Args:
        model: Its ``forward(image, answer=numbers)`` answers these tasks.
        numbers: Tasks.
    """

    def __init__(self, model: nn.Module, numbers: Sequence[int]) -> None:
        super().__init__()
        self.model, self.numbers = model, tuple(numbers)

    def forward(self, image: Image) -> Tensor:
        """Return the logits of these tasks."""
        return self.model(image, answer=self.numbers)


def own_task_loss(
    logits: Logits,
    background: Float[Tensor, "B 1 H W D"],
    batch: Batch,
    *,
    exclusive: Sequence[bool],
    dice_weight: float = 1.0,
    present_only: bool = False,
) -> Float[Tensor, ""]:
    """Return the mean over samples of each one's own task's cross-entropy and Dice.

    Args:
        logits: One per class of the vocabulary; those of other tasks are not read.
        background: The logit of each sample's own background; only a softmax reads it.
        batch: Target and known classes on the grid of the logits, and the tasks.
        exclusive: Per task, whether it has a softmax.
        dice_weight: Weight of the Dice loss.
        present_only: Take Dice only over classes with a voxel in the patch.
    """
    options: dict[str, Any] = {"dice_weight": dice_weight, "present_only": present_only}
    task = batch.task.long()
    soft = torch.tensor(exclusive, device=task.device)[task]
    total = logits.new_zeros(())
    for rows, is_softmax in ((soft.nonzero()[:, 0], True), ((~soft).nonzero()[:, 0], False)):
        if len(rows) == 0:
            continue
        own, target, known = logits[rows], batch.target[rows], batch.known[rows]
        if is_softmax:
            loss = declared_softmax_loss(own, background[rows], target, known, **options)
        else:
            loss = partial_loss(own, target, known, smooth="both", **options)
        total = total + loss * len(rows) / len(task)
    return total
