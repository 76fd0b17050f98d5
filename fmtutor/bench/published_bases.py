"""The bases of the published tables, from the files of their authors: the paper profile.

Known organs begin from SuPreM, new organs from FSEFT's own model, one row from the self-supervised
encoder. None of these files may be passed on with this package: they are read from a folder of
yours, under the names that their authors give them, tensor by tensor (`fmtutor.hub.published`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from fmtutor.bench.few_shot_bases import Base, fresh
from fmtutor.bench.few_shot_grid import Cell
from fmtutor.core.files import sha256_of
from fmtutor.core.tables import lookup
from fmtutor.hub.layouts import PUBLISHED
from fmtutor.hub.published import load
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.swin_unetr import SwinUnetr
from fmtutor.paradigms.adapt.network import Kind
from fmtutor.paradigms.selfsup.swin_ssl import load_encoder

CHECKPOINTS = {
    "fseft-known supervised unet": "suprem-unet",
    "fseft-known supervised swin": "suprem-swin",
    "fseft-flare22 supervised unet": "suprem-unet",
    "fseft-flare22 supervised swin": "suprem-swin",
    "fseft-novel supervised swin": "fseft-swin",
    "fseft-novel self-supervised swin": "swin-unetr-ssl",
}
"""Table, base and backbone to the checkpoint in `fmtutor.hub.layouts.PUBLISHED`."""


def checkpoints_needed(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return the checkpoints that cells begin from; those that begin from chance need none."""
    keys = {_key(cell) for cell in cells}
    return tuple(name for key, name in CHECKPOINTS.items() if key in keys)


@dataclass(frozen=True)
class PublishedBases:
    """Published checkpoints, as `fmtutor.bench.few_shot_bases.Bases`.

    They have no rows: SuPreM's head is generated from text, and FSEFT's has none of the new organs.
    So there is no zero-shot here, and the corrected preset starts from a random head.
    """

    folder: Path
    """Of the checkpoint files."""

    def check(self, cells: Iterable[Cell]) -> None:
        """Raise FileNotFoundError with all files that cells need and the folder lacks."""
        lacking = [
            f"{entry.file} from {entry.source} ({entry.licence})"
            for entry in map(PUBLISHED.__getitem__, checkpoints_needed(cells))
            if not (self.folder / entry.file).is_file()
        ]
        if lacking:
            raise FileNotFoundError(f"{self.folder} lacks {'; '.join(lacking)}.")

    def sha256(self, cell: Cell) -> str:
        """Return 12 hex digits of the file that a cell begins from; empty where it has none."""
        name = CHECKPOINTS.get(_key(cell))
        return sha256_of(self.folder / PUBLISHED[name].file)[:12] if name else ""

    def base(self, cell: Cell) -> Base:
        """Return the base of a cell, in evaluation mode.

        Raises:
            FileNotFoundError: The folder lacks the file.
            ValueError: The table has no such base, or the file is another one.
        """
        if cell.base == "random":
            return Base("random", _bare(cell.kind, cell.seed), {})
        name = lookup(CHECKPOINTS, _key(cell), "published base")
        module = load(name, self.folder / PUBLISHED[name].file)
        if cell.base == "self-supervised":
            backbone = _bare("swin", cell.seed)
            load_encoder(backbone, module.state_dict())  # type: ignore[arg-type]
            return Base(name, backbone, {})
        return Base(name, module.backbone, {})  # type: ignore[arg-type]


def _key(cell: Cell) -> str:
    return f"{cell.table} {cell.base} {cell.kind}"


def _bare(kind: Kind, seed: int) -> nn.Module:
    return fresh(SwinUnetr if kind == "swin" else GenesisUNet, seed)
