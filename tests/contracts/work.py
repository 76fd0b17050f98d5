"""How much a training computes, counted: the same on every machine, whatever else it is doing.

A small network spends its time on calling operators, a large one inside them, so both are counted.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

OPERATORS = 400_000
"""In the training of one contract: some seconds on one thread, at 10 microseconds an operator."""
MULTIPLY_ADDS = 40e9
"""In the training of one contract: some seconds on one thread, at ten thousand million a second."""


class Operators(TorchDispatchMode):
    """Counts the tensor operators that are called inside it, those of `backward` too."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def work_of(step: Callable[[], Tensor]) -> tuple[int, int]:
    """The operators and the multiply-adds of one step, its backward pass included."""
    with Operators() as operators, FlopCounterMode(display=False) as arithmetic:
        step().backward()
    return operators.count, arithmetic.get_total_flops() // 2


def check_that_a_training_is_small(step: Callable[[], Tensor], steps: int) -> None:
    """The suite stays usable only while the trainings of its contracts are cheap."""
    operators, multiply_adds = work_of(step)
    assert 0 < operators * steps < OPERATORS
    assert 0 < multiply_adds * steps < MULTIPLY_ADDS
