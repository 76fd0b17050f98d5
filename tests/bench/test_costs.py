"""What one more class costs, by building the system twice."""

from pathlib import Path

import pytest

from fmtutor.bench.comparison import SYSTEMS, TALK
from fmtutor.bench.costs import HOW, added_parameters, costs_frame
from fmtutor.core.files import write_json


def test_every_system_of_the_talk_says_what_a_class_is() -> None:
    assert set(HOW) == set(TALK)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("clip_driven", 0),  # a sentence
        ("masked", 24 + 1),  # a row of a 1x1x1 convolution on 24 features
        ("dodnet", 8 * 8 + 8 * 8 + 8 * 9 + 8 + 8 + 9),  # a column; the largest task has 9 outputs
    ],
)
def test_a_class_costs_what_can_be_counted_by_hand(system: str, expected: int) -> None:
    assert added_parameters(SYSTEMS[system]()) == expected


def test_the_table_is_in_the_order_asked_for(tmp_path: Path) -> None:
    rows = [{"name": name, "parameters": 2_000_000, "cpu_seconds": 0.2, "wall_seconds": 0.1,
             "peak_mb": 900.0, "added_parameters": 0} for name in TALK]  # fmt: skip
    write_json(tmp_path / "costs.json", {"systems": rows})
    frame = costs_frame(tmp_path / "costs.json", ["masked", "hermes"])
    assert list(frame.index) == ["masked", "hermes"]
    assert frame.loc["masked", "parameters, M"] == 2.0
