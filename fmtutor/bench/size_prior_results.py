"""What a prior on size did to Dice and to sizes: read from the committed result file.

A *query* is one structure of one test case. Differences are taken within a query and averaged over
seeds, so that an interval over queries says how far the mean of other patients like these may lie.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fmtutor.core.files import read_json
from fmtutor.engine.metrics import bootstrap_mean
from fmtutor.losses.size_prior import MARGIN

COMMAND = "python benchmarks/few_shot/size_prior.py"
CELL_COLUMNS = ("row", "structure", "seed")
SCORE_COLUMNS = (
    "case", "arm", "prior_ml", "soft_ml", "predicted_ml", "reference_ml", "dice",
)  # fmt: skip
QUERY = ["row", "structure", "case"]
TABLE_COLUMNS = (
    "row", "structure", "dice", "support", "support_low", "support_high", "oracle", "oracle_low",
    "oracle_high", "size_without", "size_support", "size_oracle", "queries", "seeds", "far",
)  # fmt: skip
ALL = "all"
"""In place of a structure, where all are taken together."""


def size_prior_frame(file: Path) -> pd.DataFrame:
    """Return one line per cell, test case and arm; an empty table where there is no file.

    Beside `CELL_COLUMNS` and `SCORE_COLUMNS`: ``size_error``, the volume of the mask over that of
    the reference minus 1; ``prior_error``, the same of the prior, over the larger of the two, as
    the penalty takes it.

    Raises:
        ValueError: The file is not one that the benchmark writes.
    """
    lines: list[dict[str, Any]] = []
    for result in _content(file)["cells"]:
        cell = result["cell"]
        own = {"row": cell["label"], "structure": cell["structure"], "seed": cell["seed"]}
        lines += [{**own, **dict(zip(SCORE_COLUMNS, row, strict=True))} for row in result["rows"]]
    frame = pd.DataFrame(lines, columns=[*CELL_COLUMNS, *SCORE_COLUMNS])
    numbers = frame[["prior_ml", "predicted_ml", "reference_ml"]].astype(float)
    largest = numbers[["prior_ml", "reference_ml"]].max(axis=1)
    return frame.assign(
        size_error=numbers["predicted_ml"] / numbers["reference_ml"] - 1.0,
        prior_error=(numbers["prior_ml"] - numbers["reference_ml"]) / largest,
    )


def size_prior_told(file: Path) -> str:
    """Say how many of the cells there are, in a line."""
    content = _content(file)
    share = f"{len(content['cells'])} of {content['config']['cells']} cells are there"
    return share if len(content["cells"]) >= content["config"]["cells"] else f"{share}; {COMMAND}"


def size_prior_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each row and structure, then one for all structures of a row.

    Columns: ``dice`` without the prior; for the arms "support" and "oracle" the difference to it,
    with the ends of its 95 % interval over queries (``support``, ``support_low``, ...); the median
    absolute ``size_error`` of each arm (``size_without``, ...); how many ``queries`` and ``seeds``
    there are; and ``far``, the share of trainings whose support misses the true size by more than
    the margin.
    """
    whole = frame.assign(structure=ALL, case=frame["structure"].astype(str) + "/" + frame["case"])
    lines = []
    for row in frame["row"].unique():
        for structure in [*frame["structure"][frame["row"] == row].unique(), ALL]:
            chosen = whole if structure == ALL else frame
            part = chosen[(chosen["row"] == row) & (chosen["structure"] == structure)]
            lines.append({"row": row, "structure": structure, **_line(part)})
    return pd.DataFrame(lines, columns=list(TABLE_COLUMNS))


def _line(part: pd.DataFrame) -> dict[str, float]:
    dice = part.groupby([*QUERY, "arm"])["dice"].mean().unstack("arm")
    sizes = part.assign(size=part["size_error"].abs()).groupby("arm")["size"].median()
    found: dict[str, float] = {"dice": float(dice["without"].mean())}
    for arm in ("support", "oracle"):
        one = bootstrap_mean(dice[arm] - dice["without"], seed=0)
        found |= {arm: one.mean, f"{arm}_low": one.low, f"{arm}_high": one.high}
    prior = part[part["arm"] == "support"].groupby([*QUERY, "seed"])["prior_error"].mean().abs()
    return {
        **found, **{f"size_{arm}": float(value) for arm, value in sizes.items()},
        "queries": len(dice), "seeds": part["seed"].nunique(),
        "far": float(np.mean(prior > MARGIN)),
    }  # fmt: skip


def _content(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {"config": {"cells": 0}, "columns": list(SCORE_COLUMNS), "cells": []}
    content = read_json(file)
    if content.get("columns") != list(SCORE_COLUMNS):
        raise ValueError(
            f"{file} must have the columns {SCORE_COLUMNS}, got {content.get('columns')}; write it "
            f"with `{COMMAND}`."
        )
    return content
