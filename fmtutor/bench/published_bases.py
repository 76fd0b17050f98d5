"""The bases of the published tables, from the files of their authors: the paper profile.

Known organs begin from SuPreM, new organs from FSEFT's own model, one row from the self-supervised
encoder. None of these files may be passed on with this package: they are read from a folder of
yours, under the names that their authors give them, tensor by tensor (`fmtutor.hub.published`).
"""

from pathlib import Path

import torch
from torch import nn

from fmtutor.bench.few_shot_bases import Base
from fmtutor.core.files import sha256_of
from fmtutor.core.seeds import seed_everything
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
    "fseft-novel supervised swin": "fseft-swin",
    "fseft-novel self-supervised swin": "swin-unetr-ssl",
}
"""Table, base and backbone to the checkpoint in `fmtutor.hub.layouts.PUBLISHED`."""


def files_needed(table: str) -> dict[str, str]:
    """Return what a table begins from: checkpoint to the name of its file."""
    return {n: PUBLISHED[n].file for key, n in CHECKPOINTS.items() if key.startswith(f"{table} ")}


def check_files(table: str, folder: Path) -> None:
    """Raise FileNotFoundError with all files that a table needs and the folder lacks."""
    lacking = [
        f"{file} from {PUBLISHED[name].source} ({PUBLISHED[name].licence})"
        for name, file in files_needed(table).items()
        if not (folder / file).is_file()
    ]
    if lacking:
        raise FileNotFoundError(f"{folder} lacks {'; '.join(lacking)}.")


def published_sha256(table: str, base: str, kind: Kind, *, folder: Path) -> str:
    """Return 12 hex digits of a base's file in the folder; empty where it has none."""
    name = CHECKPOINTS.get(f"{table} {base} {kind}")
    return sha256_of(folder / PUBLISHED[name].file)[:12] if name else ""


def published_base(table: str, base: str, kind: Kind, *, folder: Path, seed: int) -> Base:
    """Return a published base, in evaluation mode.

    It has no rows: SuPreM's head is generated from text, and FSEFT's has none of the new organs. So
    there is no zero-shot here, and the corrected preset starts from a random head.

    Args:
        table: "fseft-known" or "fseft-novel".
        base: "supervised", "self-supervised" or "random".
        kind: Of the backbone.
        folder: Of the checkpoint files.
        seed: Of weights that no file gives.

    Raises:
        FileNotFoundError: The folder lacks the file.
        ValueError: The table has no such base, or the file is another one.
    """
    if base == "random":
        return Base("random", _bare(kind, seed), {})
    name = lookup(CHECKPOINTS, f"{table} {base} {kind}", "published base")
    module = load(name, folder / PUBLISHED[name].file)
    if base == "self-supervised":
        backbone = _bare("swin", seed)
        load_encoder(backbone, module.state_dict())  # type: ignore[arg-type]
        return Base(name, backbone, {})
    return Base(name, module.backbone, {})  # type: ignore[arg-type]


def _bare(kind: Kind, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        seed_everything(seed)
        return (SwinUnetr() if kind == "swin" else GenesisUNet()).eval()
