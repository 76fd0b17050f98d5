"""Tasks of systems that answer one dataset at a time: their channels, softmax or sigmoid, loss.

A task is a protocol with channels of its own. Where its regions exclude each other it declares a
background, the complement of what it annotates, and has a softmax; where they overlap (a lesion
inside the liver) no softmax can be right, and it has sigmoids.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fmtutor.core.axes import Logits, Task
from fmtutor.data.batches import Batch
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.losses.declared import declared_softmax_loss
from fmtutor.losses.partial import partial_loss

Tasks = tuple[tuple[str, ...], ...]


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


def in_own_channels(logits: Float[Tensor, "B N H W D"], task: Task, tasks: Tasks) -> Logits:
    """Put the first channels of each sample where the vocabulary has its task; the rest is 0."""
    out = logits.new_zeros(len(logits), sum(map(len, tasks)), *logits.shape[2:])
    for number in task.unique().tolist():
        rows = (task == number).nonzero()[:, 0]
        columns = torch.tensor(task_columns(tasks, number), device=task.device)
        out[rows[:, None], columns] = logits[rows, : len(columns)]
    return out


def own_task_loss(
    logits: Logits,
    background: Float[Tensor, "B 1 H W D"],
    batch: Batch,
    *,
    exclusive: Sequence[bool],
    dice_weight: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the mean over samples of each one's own task's cross-entropy and Dice.

    Args:
        logits: One per class of the vocabulary; those of other tasks are not read.
        background: The logit of each sample's own background; only a softmax reads it.
        batch: Target and known classes on the grid of the logits, and the tasks.
        exclusive: Per task, whether it has a softmax.
        dice_weight: Weight of the Dice loss.
    """
    task = batch.task.long()
    soft = torch.tensor(exclusive, device=task.device)[task]
    total = logits.new_zeros(())
    for rows, is_softmax in ((soft.nonzero()[:, 0], True), ((~soft).nonzero()[:, 0], False)):
        if len(rows) == 0:
            continue
        own, target, known = logits[rows], batch.target[rows], batch.known[rows]
        if is_softmax:
            loss = declared_softmax_loss(
                own, background[rows], target, known, dice_weight=dice_weight
            )
        else:
            loss = partial_loss(own, target, known, smooth="both", dice_weight=dice_weight)
        total = total + loss * len(rows) / len(task)
    return total
