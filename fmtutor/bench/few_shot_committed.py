"""What notebooks 12 and 13 read from committed results and from the published runs.

A checkout may hold all of a table's cells, some or none; what is read here says how many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fmtutor.bench.few_shot_findings import Chooser
from fmtutor.bench.few_shot_grid import Cell, cells_of
from fmtutor.bench.few_shot_results import read_results, scores_frame
from fmtutor.engine.metrics import bootstrap_mean

FULL_SIZE = {
    "swin": {
        "linear_probe": 0, "mlp_adapter": 4_608, "spatial_adapter": 124_416, "affine": 17_280,
        "adaptformer": 47_648, "lora": 69_120, "bitfit": 210_690,
        "decoder_fine_tune": 19_597_824, "full_fine_tune": 62_186_610,
    },
    "unet": {
        "linear_probe": 0, "mlp_adapter": 8_192, "spatial_adapter": 221_184, "affine": 2_880,
        "bitfit": 2_880, "cnn_adapter": 260_128, "decoder_fine_tune": 12_045_824,
        "full_fine_tune": 19_073_600,
    },
}  # fmt: skip
"""Parameters that a method trains in the published networks, head left out: the published runs'
own count, which the ledger's test computes again."""


@dataclass(frozen=True, kw_only=True)
class Committed:
    """The results that a checkout holds for one table."""

    results: list[dict[str, Any]]
    cells: tuple[Cell, ...]
    """All that the table is made of."""
    command: str
    """What makes the missing ones."""

    @property
    def frame(self) -> pd.DataFrame:
        """One line per cell and scored case."""
        return scores_frame(self.results)

    @property
    def told(self) -> str:
        """How much of the table there is, in a line."""
        share = f"{len(self.results)} of {len(self.cells)} cells are there"
        return share if len(self.results) >= len(self.cells) else f"{share}; run {self.command}"


def committed(file: Path, table: str, profile: str = "quick") -> Committed:
    """Read a table's collected results; a file that is not there holds none."""
    return Committed(
        results=read_results(file) if file.exists() else [],
        cells=cells_of(table, profile),
        command=f"fmtutor table {table} --profile {profile}",
    )


def full_size(kind: str, method: str) -> str:
    """Write what a method trains in a published network, without the head; a dash if unknown."""
    count = FULL_SIZE[kind].get(method)
    return "—" if count is None else f"{count:,}"


def loss_curves(
    results: Sequence[Mapping[str, Any]], *, kind: str, shots: int, preset: str = "faithful"
) -> dict[str, list[float]]:
    """Return the kept points of the loss of each row, the mean over structures and seeds."""
    curves: dict[str, list[Sequence[float]]] = {}
    for result in results:
        cell = result["cell"]
        if (cell["kind"], cell["shots"], cell["preset"]) == (kind, shots, preset):
            curves.setdefault(cell["label"], []).append(result["loss"])
    longest = {label: max(map(len, group)) for label, group in curves.items()}
    return {
        label: np.mean([one for one in group if len(one) == longest[label]], axis=0).tolist()
        for label, group in curves.items()
        if longest[label] > 0
    }


def by_structure(frame: pd.DataFrame, better: Chooser, worse: Chooser) -> pd.DataFrame:
    """Return the difference of two groups of rows for each structure, with its interval over cases.

    Args:
        frame: Test scores of one table, kind and number of shots.
        better: Rows that should do better.
        worse: Rows that they are compared with.

    Returns:
        ``structure``, ``difference``, ``low``, ``high``; empty where a group has no scores.
    """
    unit = ["structure", "case", "seed"]
    groups = [frame[choose(frame)].groupby(unit)["dice"].mean() for choose in (better, worse)]
    cases = (groups[0] - groups[1]).dropna().groupby(["structure", "case"]).mean()
    lines = []
    for structure, values in cases.groupby("structure"):
        found = bootstrap_mean(values, seed=0)
        lines.append((structure, found.mean, found.low, found.high))
    return pd.DataFrame(lines, columns=["structure", "difference", "low", "high"])
