"""Batches made ahead of the training step by a background thread."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch


def prefetched(
    batches: Callable[[int], Any], positions: range, *, ahead: int, pin: bool = False
) -> Generator[Any, None, None]:
    """Yield ``batches(i)`` for each position in order, at most ``ahead`` of them made early.

    As ``batches`` is a pure function of the position, nothing has to be remembered to resume: a
    run that stops at a step goes on by asking for the next position. An error in the thread is
    raised here, at the position that it belongs to. 0 ahead makes each batch when it is wanted.

    Args:
        batches: Position to batch.
        positions: The positions wanted.
        ahead: Bound on the batches waiting, 0 or more.
        pin: Copy tensors to page-locked memory, from which a GPU copies without blocking.
    """
    if ahead == 0:
        yield from (batches(i) for i in positions)
        return
    make = (lambda i: pinned(batches(i))) if pin else batches
    waiting: deque[Future] = deque()
    upcoming = iter(positions)
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        for _ in positions:
            while len(waiting) < ahead and (i := next(upcoming, None)) is not None:
                waiting.append(pool.submit(make, i))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def pinned(batch: Any) -> Any:
    """Return a dataclass of tensors with its tensors in page-locked memory."""
    if not is_dataclass(batch) or isinstance(batch, type):
        return batch
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
    return replace(batch, **{name: tensor.pin_memory() for name, tensor in tensors.items()})
