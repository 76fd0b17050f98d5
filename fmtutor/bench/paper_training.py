"""The paper profile of a recipe: the published configuration, taught by datasets on disk.

``fmtutor train few_shot_swin --profile paper --data DATASET ...`` trains the base of a few-shot
table on what data_scripts converted, where the published checkpoints may not be used or are not to
be had. FSEFT's systems learn its 29 published classes, as far as the datasets annotate them, so
that none of the table's new organs is among them; others learn all that is annotated. Scans of a
few-shot list, and the makers' test scans, never teach; ``data.json`` says which scans do.

Source: Silva-Rodríguez et al., Medical Image Analysis 2025, for FSEFT's systems.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fmtutor.bench.recipes import RECIPES, Recipe
from fmtutor.bench.rehearsal import Cut
from fmtutor.bench.training import train_recipe
from fmtutor.core.configs import to_dict
from fmtutor.core.files import read_json, write_json
from fmtutor.core.tables import lookup
from fmtutor.data.nnunet_raw import NnunetDataset, read_dataset
from fmtutor.data.prepared import PreparedSource, taught
from fmtutor.data.source_splits import teaching_scans
from fmtutor.engine.history import Record
from fmtutor.paradigms import paradigm

DATA_FILE = "data.json"
"""Beside the weights: datasets, their scans that taught, and the classes."""
PREPARED = "prepared"
"""Folder beside the training's, shared by all that lie there."""
UNFIT = ("suprem",)
"""Recipes of several trainings, whose first has to complete the labels of the second."""


def train_paper(
    name: str, data: Sequence[Path], *, folder: Path, seed: int = 0, cut: Cut | None = None
) -> Iterator[Record]:
    """Train a named recipe at published scale on converted datasets; a second call resumes.

    Args:
        name: A name in `fmtutor.bench.recipes.RECIPES`, but none of `UNFIT`.
        data: nnU-Net raw folders, one a dataset, each drawn equally often.
        folder: Where checkpoints, history, recipe and weights go.
        seed: Of weights and patches.
        cut: What a rehearsal does less of.

    Yields:
        The record of each step, as it is done.

    Raises:
        ValueError: The name is no such recipe, there is nothing to learn from, or the folder's
            training began otherwise.
    """
    recipe, sources = paper_recipe(name, data, prepared=folder.parent / PREPARED, cut=cut)
    _claim(folder / DATA_FILE, _described(recipe, sources, cut or Cut()))
    yield from train_recipe(recipe, folder=folder, seed=seed, sources=sources)


def paper_recipe(
    name: str, data: Sequence[Path], *, prepared: Path, cut: Cut | None = None
) -> tuple[Recipe, list[PreparedSource]]:
    """Return a recipe in its published configuration, and the cases that teach it."""
    make = lookup({n: r for n, r in RECIPES.items() if n not in UNFIT}, name, "recipe of paper")
    recipe = make(name, "paper")
    module, config = paradigm(recipe.system), recipe.config
    classes = module.Config.paper().classes if recipe.system == "fseft" else ()
    sources = [
        _source(dataset, classes, config.spacing_mm, prepared) for dataset in datasets_of(data)
    ]
    words = module.vocabulary([source.protocol for source in sources])
    config = (cut or Cut()).config(config.with_vocabulary(words))
    return replace(
        recipe, config=config, centres=(), patients=0, wide_patients=0, wide_share=0.0,
        respaced=False, head_lr=1.0,
    ), sources  # fmt: skip


def datasets_of(data: Sequence[Path]) -> list[NnunetDataset]:
    """Open the datasets that teach.

    Raises:
        FileNotFoundError: A folder is no raw dataset.
        ValueError: There are none, or two of one name.
    """
    if not data:
        raise ValueError(
            "the paper profile trains on published datasets, not on virtual patients: convert some "
            "with data_scripts and name their folders with --data, or use --profile quick or gpu."
        )
    datasets = [read_dataset(folder) for folder in data]
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise ValueError(f"datasets need names of their own, got {names}; name each folder once.")
    return datasets


def _source(
    dataset: NnunetDataset,
    classes: Sequence[str],
    spacing_mm: tuple[float, float, float],
    prepared: Path,
) -> PreparedSource:
    return PreparedSource(
        dataset=dataset,
        names=teaching_scans(dataset.folder, dataset.names),
        protocol=taught(dataset.protocol, classes),
        spacing_mm=spacing_mm,
        folder=prepared,
    )


def _claim(path: Path, wanted: dict[str, Any]) -> None:
    """Keep what a training is made of, or check that it is still the same."""
    if path.is_file() and read_json(path) != wanted:
        raise ValueError(
            f"a training goes on with the data and sizes that it began with, {path} has others; "
            "name another folder with --out, or delete this one."
        )
    write_json(path, wanted)


def _described(recipe: Recipe, sources: Sequence[PreparedSource], cut: Cut) -> dict[str, Any]:
    """Return what taught, and what a rehearsal cut, as plain values."""
    return {
        "classes": list(recipe.config.classes),
        "cut": to_dict(cut),
        "datasets": {
            source.dataset.name: {
                "scans": list(source.names),
                "regions": [region.name for region in source.protocol.regions],
                "left_to_tests": len(source.dataset) - len(source.names),
            }
            for source in sources
        },
    }
