"""The size prior's results: read as written, compared within a query; the notebook's text holds."""

import ast
import json
import re
from pathlib import Path

import matplotlib as mpl
import nbformat
import pandas as pd
import pytest
import torch

from fmtutor.bench import few_shot_transduction as transduction
from fmtutor.bench.figures_size_prior import ARMS, plot_size_prior
from fmtutor.bench.size_prior_results import (
    ALL,
    COMMAND,
    SCORE_COLUMNS,
    size_prior_frame,
    size_prior_table,
    size_prior_told,
)
from fmtutor.losses.size_prior import MARGIN, WEIGHT, target_proportion

mpl.use("Agg")
ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks/few_shot/results/size_prior.json"
NOTEBOOK = ROOT / "notebooks/12_few_shot_known_organs.ipynb"
GAIN = {"without": 0.0, "support": 0.1, "oracle": 0.2}


def written(path: Path, structures: tuple[str, ...], *, cells: int) -> Path:
    """Write results in which the support gains 0.1 and the oracle 0.2 for every query."""
    found = []
    for structure in structures:
        rows = [
            [f"c{n}", arm, 50.0 if arm == "support" else 100.0, 1.0, 120.0 + 10 * n, 100.0,
             0.5 + 0.1 * n + gain]
            for n in range(3) for arm, gain in GAIN.items()
        ]  # fmt: skip
        cell = {"label": "Linear Probe", "structure": structure, "seed": 0}
        found.append({"cell": cell, "rows": rows})
    content = {"config": {"cells": cells}, "columns": list(SCORE_COLUMNS), "cells": found}
    path.write_text(json.dumps(content))
    return path


def test_a_difference_is_taken_within_a_query(tmp_path: Path) -> None:
    table = size_prior_table(size_prior_frame(written(tmp_path / "a", ("liver", "aorta"), cells=2)))
    assert list(table["structure"]) == ["liver", "aorta", ALL]
    assert list(table["queries"]) == [3, 3, 6]
    assert list(table["seeds"]) == [1, 1, 1]
    for arm in ("support", "oracle"):
        for end in ("", "_low", "_high"):
            assert list(table[arm + end]) == pytest.approx([GAIN[arm]] * 3)
    assert list(table["dice"]) == pytest.approx([0.6] * 3)


def test_errors_of_size_and_of_the_prior_are_relative(tmp_path: Path) -> None:
    frame = size_prior_frame(written(tmp_path / "a", ("liver",), cells=1))
    assert sorted(frame["size_error"].unique()) == pytest.approx([0.2, 0.3, 0.4])
    by_arm = frame.groupby("arm")["prior_error"].first()
    assert by_arm.to_dict() == pytest.approx({"without": 0, "support": -0.5, "oracle": 0})
    table = size_prior_table(frame)
    assert list(table["far"]) == [1.0, 1.0]
    assert list(table["size_without"]) == pytest.approx([0.3, 0.3])


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    half, whole = (written(tmp_path / str(n), ("liver",), cells=n) for n in (2, 1))
    assert size_prior_told(half) == f"1 of 2 cells are there; {COMMAND}"
    assert size_prior_told(whole) == "1 of 1 cells are there"
    assert (ROOT / COMMAND.split()[1]).is_file()


def test_without_a_file_table_and_figure_are_empty(tmp_path: Path) -> None:
    frame = size_prior_frame(tmp_path / "none.json")
    assert frame.empty
    assert size_prior_told(tmp_path / "none.json") == "0 of 0 cells are there"
    plot_size_prior(size_prior_table(frame)).canvas.draw()


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"columns": ["dice"]}')
    with pytest.raises(ValueError, match=r"must have the columns .* got \['dice'\]; write it with"):
        size_prior_frame(tmp_path / "a.json")


def test_the_figure_shows_every_line_and_arm(tmp_path: Path) -> None:
    table = size_prior_table(size_prior_frame(written(tmp_path / "a", ("aorta",), cells=1)))
    figure = plot_size_prior(table)
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == [
        "Linear Probe, aorta", "Linear Probe, all"
    ]  # fmt: skip
    marks = sorted(float(line.get_xdata()[0]) for line in right.lines)
    assert marks == pytest.approx([30.0] * 6)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(ARMS)


def test_arms_and_columns_are_those_that_the_runner_writes() -> None:
    assert transduction.COLUMNS == SCORE_COLUMNS
    assert list(transduction.ARMS) == list(ARMS)


@pytest.fixture(scope="module")
def committed() -> dict:
    return json.loads(RESULT.read_text())


def test_every_committed_cell_has_all_arms_of_all_its_test_cases(committed: dict) -> None:
    frame = size_prior_frame(RESULT)
    count = committed["config"]["settings"]["linear_probe"]["tests"]
    for _, part in frame.groupby(["row", "structure", "seed"]):
        assert part.groupby("arm")["case"].nunique().to_dict() == dict.fromkeys(ARMS, count)
        assert len(part) == count * len(ARMS)
    assert len(frame) == len(committed["cells"]) * count * len(ARMS)


def test_committed_priors_are_of_the_size_they_are_said_to_be() -> None:
    """A support has one size, whatever the query; the oracle's is the reference's."""
    frame = size_prior_frame(RESULT)
    support = frame[frame["arm"] == "support"].groupby(["row", "structure", "seed"])["prior_ml"]
    assert (support.max() - support.min()).max() < 1e-2
    oracle = frame[frame["arm"] == "oracle"]
    assert (oracle["prior_ml"] - oracle["reference_ml"]).abs().max() < 1e-2
    assert frame[frame["arm"] == "support"]["prior_error"].abs().max() > MARGIN


def section() -> str:
    """Return the sources of the notebook's cells on the size prior."""
    cells = nbformat.read(NOTEBOOK, 4).cells
    return "\n".join(c.source for c in cells if c.id.startswith("known-49-size"))


def test_the_notebook_states_the_rule_as_it_ran(committed: dict) -> None:
    weight, margin = re.search(
        r"penalty} = ([\d.]+)\\,\\max\(0,\\ \|e\| - ([\d.]+)\)", section()
    ).groups()
    assert (float(weight), float(margin)) == (WEIGHT, MARGIN)
    config = committed["config"]
    assert (config["weight"], config["margin"]) == (WEIGHT, MARGIN)
    for result in committed["cells"]:
        epochs = (result["steps"] - result["on_query"]) / result["cell"]["shots"]
        assert result["on_query"] == epochs / 2  # one an epoch, from half of the training on


def test_the_notebook_says_what_the_file_compares(committed: dict) -> None:
    told = re.search(r"\((\w+) UNETR, (\w+) cases\)", section()).groups()
    cells = [result["cell"] for result in committed["cells"]]
    numbers = {5: "five", 10: "ten"}
    assert {(cell["kind"], numbers[cell["shots"]]) for cell in cells} == {
        (told[0].lower(), told[1])
    }


def test_columns_that_the_notebook_shows_and_explains_are_there() -> None:
    (names,) = re.findall(r"^columns = (\[.*\])$", section(), re.MULTILINE)
    table = size_prior_table(size_prior_frame(RESULT))
    assert set(ast.literal_eval(names)) <= set(table)
    assert isinstance(table, pd.DataFrame)
    assert len(table)


def test_the_notebooks_outlier_is_left_out() -> None:
    (given,) = re.findall(r"torch\.tensor\((\[.*?\])\)", section())
    volumes = torch.tensor(ast.literal_eval(given))
    query_ml = 10_000.0
    assert float(target_proportion(volumes, query_ml)) == pytest.approx(
        float(volumes[:-1].mean()) / query_ml
    )
