"""The canary of the shape checks: without it, a lost pytest option would check nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from fmtutor.core.seeds import seed_everything
from fmtutor.data.batches import Batch
from tests.call_checks import checked_call

checked = checked_call(typechecker=beartype)


def _batch(**changes: torch.Tensor) -> Batch:
    parts = {
        "image": torch.zeros(2, 1, 4, 5, 6),
        "target": torch.zeros(2, 3, 4, 5, 6, dtype=torch.bool),
        "known": torch.ones(2, 3, dtype=torch.bool),
        "task": torch.zeros(2, dtype=torch.int64),
    }
    return Batch(**(parts | changes))


def test_a_batch_whose_shapes_agree_is_accepted():
    assert _batch().image.shape == (2, 1, 4, 5, 6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": torch.zeros(2, 1, 4, 5)},
        {"known": torch.ones(2, 4, dtype=torch.bool)},
        {"target": torch.zeros(2, 3, 4, 5, 6)},
    ],
    ids=["an axis missing", "another number of classes", "another dtype"],
)
def test_the_shape_checks_are_on_in_tests(wrong):
    with pytest.raises(TypeCheckError):
        _batch(**wrong)


def test_the_import_hook_puts_the_cheap_checks_on_fmtutor():
    for function in (seed_everything, Batch.__init__):
        assert function.__code__.co_filename == checked_call.__code__.co_filename


def test_a_call_that_names_no_array_is_checked_too():
    with pytest.raises(TypeCheckError, match="seed"):
        seed_everything("zero")


@checked
def product(left: Float[Tensor, "A B"], right: Float[Tensor, "B C"]) -> Float[Tensor, "A C"]:
    return left[:, :1] * right[:1] if len(right) > 1 else right


def test_arguments_and_answer_share_the_axes_of_one_call():
    for size in (2, 3):  # what one call found is forgotten in the next
        assert product(torch.ones(4, size), torch.ones(size, 5)).shape == (4, 5)
    with pytest.raises(TypeCheckError, match="right"):
        product(torch.ones(4, 2), torch.ones(3, 5))
    with pytest.raises(TypeCheckError, match="return"):
        product(torch.ones(4, 1), torch.ones(1, 5))


@checked
@dataclass(frozen=True)
class Line:
    points: Float[Tensor, "P 3"]
    names: "tuple[str, ...]"

    @classmethod
    @checked
    def of(cls, count: int) -> "Line":
        return cls(torch.zeros(count, 3), ("x",) * count)

    @property
    @checked
    def first(self) -> "str":
        return self.names[0] if self.names else None  # type: ignore[return-value]

    @checked
    def each(self) -> Iterator[Float[Tensor, " 3"]]:
        yield from self.points


def test_methods_properties_generators_and_written_out_names_are_checked():
    line = Line.of(2)
    assert line.first == "x"
    assert len(list(line.each())) == 2
    wrongs = (
        lambda: Line.of("two"),
        lambda: Line(torch.zeros(2, 3), (1, 2)),
        lambda: Line(torch.zeros(2, 2), ()),
        lambda: Line.of(0).first,
    )
    for wrong in wrongs:
        with pytest.raises(TypeCheckError):
            wrong()


def test_a_name_that_only_the_type_checker_knows_stops_no_call():
    @checked
    def double(value: "NowhereToBeFound", times: int = 2) -> int:  # type: ignore[name-defined]
        return value * times

    assert double(3) == 6
    with pytest.raises(TypeCheckError, match="times"):
        double(3, times="2")
