"""Parameters as they are typed: values, ranges, grids, and the names of the runs."""

import doctest

import pytest

from fmtutor.bench import parameter_grid
from fmtutor.bench.parameter_grid import combinations, parsed, run_name


def test_the_examples_hold():
    assert doctest.testmod(parameter_grid).failed == 0


def test_one_value_is_a_literal_or_text():
    assert parsed(("n=3", "rate=1e-3", "fast=true")) == {
        "n": (3,), "rate": (1e-3,), "fast": (True,),
    }  # fmt: skip
    assert parsed(("sizes=(8, 16)", "name=liver")) == {"sizes": ((8, 16),), "name": ("liver",)}
    assert parsed(("path=../a=b", "empty=")) == {"path": ("../a=b",), "empty": ("",)}


def test_commas_separate_values_but_not_within_brackets_and_quotes():
    assert parsed(("net=unet,swin",)) == {"net": ("unet", "swin")}
    assert parsed(("x=1,2.5,true",)) == {"x": (1, 2.5, True)}
    assert parsed(("sizes=[8,16],[4]", "text='a,b',c")) == {
        "sizes": ([8, 16], [4]), "text": ("a,b", "c"),
    }  # fmt: skip
    assert parsed(("text=it's (this",)) == {"text": ("it's (this",)}


def test_a_range_holds_both_ends_and_may_stand_among_values():
    assert parsed(("seed=0..4",)) == {"seed": (0, 1, 2, 3, 4)}
    assert parsed(("seed=-1..1,7",)) == {"seed": (-1, 0, 1, 7)}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (("n",), "written name=value"),
        (("=3",), "written name=value"),
        (("2n=1",), "written name=value"),
        (("n=1", "n=2"), "got n twice; write n=1,2"),
        (("n=4..0",), "goes upwards"),
        (("n=0..99999",), "at most 10000"),
        (("n=0.1..0.5",), "a range is of whole numbers"),
        (("n=1,1",), "each value once, got 1 twice"),
        (("n=1e999",), "a finite number"),
        (("n={1}",), "a finite number"),
    ],
)
def test_what_cannot_be_meant_is_an_error(pairs, message):
    with pytest.raises(ValueError, match=message):
        parsed(pairs)


def test_combinations_are_a_product_and_nothing_given_is_one_run():
    assert combinations({"a": (1, 2), "b": ("x", "y")}) == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"},
    ]  # fmt: skip
    assert combinations({}) == [{}]


def test_names_are_good_file_names_and_differ_where_values_do():
    assert run_name("02_a", {}) == "02_a"
    assert run_name("my notes", {"x": "unet"}) == "my_notes-x=unet"
    names = {run_name("a", {"x": value}) for value in ("a/b", "a b", "a,b", "a" * 60, "a" * 61)}
    assert len(names) == 5
    assert all(parameter_grid.ODD.search(name) is None for name in names)
