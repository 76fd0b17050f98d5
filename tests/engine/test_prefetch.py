import threading
import time
from dataclasses import dataclass

import pytest
import torch

from fmtutor.engine.prefetch import pinned, prefetched


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_batches_come_in_the_order_of_their_positions(ahead):
    assert list(prefetched(lambda i: i * i, range(3, 20, 2), ahead=ahead)) == [
        i * i for i in range(3, 20, 2)
    ]


def test_no_more_than_the_bound_is_made_ahead():
    made = []
    stream = prefetched(lambda i: made.append(i) or i, range(100), ahead=3)
    assert next(stream) == 0
    time.sleep(0.05)
    assert made == [0, 1, 2]
    next(stream)
    stream.close()
    assert len(made) <= 4


def test_batches_are_made_while_the_step_runs():
    threads = list(prefetched(lambda i: threading.current_thread().name, range(3), ahead=2))
    assert all(name.startswith("prefetch") for name in threads)


def test_an_error_is_raised_at_the_position_it_belongs_to():
    def batches(i):
        if i == 2:
            raise KeyError("case 2")
        return i

    stream = prefetched(batches, range(5), ahead=2)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(KeyError, match="case 2"):
        next(stream)


def test_closing_ends_the_thread():
    stream = prefetched(lambda i: i, range(50), ahead=2)
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("prefetch")]


@pytest.mark.gpu
def test_pinning_keeps_the_values():
    @dataclass(frozen=True)
    class Batch:
        image: torch.Tensor
        name: str

    batch = Batch(torch.rand(3), "x")
    moved = pinned(batch)
    assert moved.image.is_pinned()
    assert torch.equal(moved.image, batch.image)
