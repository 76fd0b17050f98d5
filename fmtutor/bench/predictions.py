"""A prediction beside its reference: the scores and the picture that `fmtutor predict` leaves."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fmtutor.core.files import atomic_path, read_json, write_json
from fmtutor.core.tables import unknown_name
from fmtutor.data.anatomy import colour_of, label_table, table_parts
from fmtutor.data.cases import Case
from fmtutor.data.nifti import checked_labels, read_volume
from fmtutor.data.regions import Region
from fmtutor.data.resampling import to_grid
from fmtutor.engine.metrics import json_rows, score_case
from fmtutor.engine.prediction import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADLINE_ML = 10.0
LABEL_TABLES = ("totalsegmentator_v2", "totalsegmentator_v1", "totalsegmentator_mr")


def with_reference(case: Case, labels: Path, table: str | None = None) -> Case:
    """Return a case with a reference label map, brought to its grid by nearest voxel.

    Args:
        case: The image.
        labels: NIfTI label map of the same patient.
        table: Name of a shipped table, or a JSON file of id to name; None takes the JSON of the
            same name beside the labels if it is there, else "totalsegmentator_v2".

    Raises:
        ValueError: An id is not in the table, or the map nowhere meets the image.
    """
    names = reference_table(labels, table)
    array, stored = read_volume(labels)
    on_grid = to_grid(
        checked_labels(array, names, source=str(labels)), stored, case.grid, mode="nearest"
    )
    if array.any() and not on_grid.any():
        raise ValueError(
            f"image and reference must show one patient in one place, but no label of {labels} "
            f"lies inside of {case.name!r}; check that they belong together."
        )
    return replace(case, labels=on_grid, table=names, known=frozenset(names.values()))


def reference_table(labels: Path, table: str | None) -> dict[int, str]:
    """Return id to structure name, by the rule of `with_reference`."""
    stem = labels.name.removesuffix(".gz").removesuffix(".nii")
    beside = labels.with_name(f"{stem}.json")
    if table is None:
        table = str(beside) if beside.exists() else "totalsegmentator_v2"
    if not table.endswith(".json"):
        if table not in LABEL_TABLES:
            raise unknown_name(table, LABEL_TABLES, "label table")
        return label_table(table)
    return {int(number): str(name) for number, name in read_json(table).items()}


def score_table(prediction: Prediction, case: Case) -> pd.DataFrame:
    """Score every class that the reference annotates, large structures first.

    Returns:
        The columns of `engine.metrics.score_case` and ``headline``: at least 10 ml in the
        reference. Smaller structures stand below, as one voxel moves their score.
    """
    regions = []
    for name in prediction.classes:
        parts = table_parts(name, case.known)
        regions.append(Region.of(name, *(parts or (name,))))
    frame = score_case(prediction, case, regions)
    frame = frame[frame["known"]].drop(columns="known")
    frame["headline"] = frame["reference_ml"] >= HEADLINE_ML
    return frame.sort_values("reference_ml", ascending=False).reset_index(drop=True)


def report_prediction(prediction: Prediction, case: Case, out: Path) -> str:
    """Write ``NAME.scores.csv``, ``NAME.scores.json`` and ``NAME.png`` beside ``out``.

    Returns:
        The table and the names of the files, as text for the terminal.
    """
    stem = out.name.removesuffix(".gz").rpartition(".")[0]
    paths = [out.with_name(stem + end) for end in (".scores.csv", ".scores.json", ".png")]
    frame = score_table(prediction, case)
    with atomic_path(paths[0]) as part:
        frame.to_csv(part, index=False, float_format="%.6g")
    write_json(paths[1], {"case": case.name, "rows": json_rows(frame)})
    with atomic_path(paths[2]) as part:
        planes_figure(prediction, case).savefig(part, format="png", dpi=110, facecolor="white")
    return f"{table_text(frame)}\nwrote {', '.join(path.name for path in paths)}"


def table_text(frame: pd.DataFrame) -> str:
    """Lay the scores out for a terminal: structures of 10 ml or more, then the smaller ones."""
    head = (
        f"{'structure':22s} {'Dice':>6s} {'NSD':>6s} {'HD95 mm':>8s} {'ref ml':>8s} {'pred ml':>8s}"
    )
    lines = [head]
    for large in (True, False):
        rows = frame[frame["headline"] == large]
        if not large and len(rows):
            lines.append(f"-- below {HEADLINE_ML:.0f} ml in the reference --")
        lines += [
            f"{row.region:22s} {row.dice:6.3f} {row.nsd:6.3f} {row.hd95_mm:8.1f} "
            f"{row.reference_ml:8.1f} {row.predicted_ml:8.1f}"
            for row in rows.itertuples()
        ]
        if large and len(rows):
            lines.append(f"{'mean':22s} {rows['dice'].mean():6.3f} {rows['nsd'].mean():6.3f}")
    return "\n".join(lines)


def planes_figure(prediction: Prediction, case: Case) -> "Figure":
    """Draw three planes through what was found: prediction in colour, reference in white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from fmtutor.data.drawing import PLANES, Layer, busiest_voxel, draw_legend, draw_plane

    masks = {name: prediction.mask(name) for name in prediction.classes}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    true = _reference_masks(case, masks)
    layers = [
        Layer(masks=true, style="solid", colours=dict.fromkeys(true, "#ffffff")),
        Layer(masks=masks, style="solid"),
    ]
    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplot_mosaic(
        [["axial", "coronal"], ["axial", "sagittal"]], width_ratios=[5, 4]
    )
    through = busiest_voxel(masks, case.image.shape)
    for plane, axis in PLANES.items():
        draw_plane(panels[plane], case, plane, index=through[axis], layers=layers)
    draw_legend(figure, {name: colour_of(name) for name in masks}, columns=8)
    figure.suptitle(f"{case.name}: prediction in colour, reference in white", fontsize=11)
    return figure


def _reference_masks(case: Case, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the reference of each class that the case annotates."""
    if case.labels is None:
        return {}
    parts = {name: table_parts(name, case.known) for name in names}
    return {name: case.mask(*found) for name, found in parts.items() if found}
