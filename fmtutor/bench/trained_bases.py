"""Bases for the paper profile from trainings of one's own, in place of the published checkpoints.

``fmtutor train few_shot_unet --profile paper --data ...`` and ``few_shot_swin`` leave one each, of
any width: the cells take the network that the training describes. There is no self-supervised one.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmtutor.bench.few_shot_bases import SUPERVISED, Base, fresh, taught_base
from fmtutor.bench.few_shot_grid import Cell
from fmtutor.bench.rehearsal import SUFFIX
from fmtutor.bench.training_start import RECIPE_FILE, WEIGHTS_FILE
from fmtutor.core.files import read_json, sha256_of
from fmtutor.engine.checkpoint import load_weights
from fmtutor.hub.models import config_from
from fmtutor.nets.build import backbone
from fmtutor.paradigms import paradigm
from fmtutor.paradigms.adapt.network import Kind

BASES = ("supervised", "random")


@dataclass(frozen=True)
class TrainedBases:
    """Finished trainings below a folder, as `fmtutor.bench.few_shot_bases.Bases`."""

    folder: Path
    """Of the training folders, such as runs/train."""
    rehearsal: bool = False
    """Take the trainings of a rehearsal; a table that is none never begins from those."""

    def training(self, kind: Kind) -> Path:
        """Return the folder of a kind's training."""
        return self.folder / f"{SUPERVISED[kind]}-paper-0{SUFFIX if self.rehearsal else ''}"

    def check(self, cells: Iterable[Cell]) -> None:
        """Raise an error where cells need what no training here has given.

        Raises:
            FileNotFoundError: A training is missing or not finished.
            ValueError: A cell begins from a self-supervised base.
        """
        needed = {(cell.base, cell.kind) for cell in cells}
        if others := sorted({base for base, _ in needed} - set(BASES)):
            raise ValueError(
                f"trainings here give bases that are {' or '.join(BASES)}, got cells that begin "
                f"from {others[0]}; leave their rows out with --rows, or name published "
                "checkpoints with --weights."
            )
        lacking = [
            f"{self.training(kind).name} (fmtutor train {SUPERVISED[kind]} --profile paper)"
            for kind in sorted({kind for _, kind in needed})
            if not (self.training(kind) / WEIGHTS_FILE).is_file()
        ]
        if lacking:
            raise FileNotFoundError(
                f"{self.folder} lacks the finished trainings {'; '.join(lacking)}; train them, "
                "name another folder with --bases, or published checkpoints with --weights."
            )

    def sha256(self, cell: Cell) -> str:
        """Return 12 hex digits of the weights, or of the network's size where they are random."""
        if cell.base != "random":
            return sha256_of(self.training(cell.kind) / WEIGHTS_FILE)[:12]
        _, config = self._recipe(cell.kind)
        size = f"{config.backbone} {config.channels}"
        return hashlib.sha256(size.encode()).hexdigest()[:12]

    def base(self, cell: Cell) -> Base:
        """Return the base of a cell, in evaluation mode, with the rows of its classes."""
        module, config = self._recipe(cell.kind)
        if cell.base == "random":
            bare = fresh(lambda: backbone(config.backbone, config.channels), cell.seed)
            return Base("random", bare, {})
        folder = self.training(cell.kind)
        model = module.build(config)
        load_weights(model, folder / WEIGHTS_FILE)
        return taught_base(folder.name, model.eval(), config.classes)

    def _recipe(self, kind: Kind) -> tuple[Any, Any]:
        """Return the system and the configuration of a training."""
        recipe = read_json(self.training(kind) / RECIPE_FILE)
        module = paradigm(recipe["system"])
        return module, config_from(module, recipe["config"])
