"""Run a script of ``data_scripts`` on a look-alike of its dataset, served by this machine."""

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from fmtutor.data.downloads import Opener
from fmtutor.data.nnunet_raw import NnunetDataset, read_dataset
from fmtutor.data.sources import Source, source
from tests.data_scripts.faulty_server import FaultyServer, serving
from tests.data_scripts.layouts import LAYOUTS
from tests.data_scripts.look_alikes import LookAlike

SCRIPTS = Path(__file__).parents[2] / "data_scripts"
OPENER = Opener(timeout_s=0.2)


def script(name: str) -> ModuleType:
    return importlib.import_module(name)


def put(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def tree(folder: Path) -> dict[str, int]:
    found = folder.rglob("*")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


@contextmanager
def served(name: str, **faults: object) -> Iterator[tuple[LookAlike, Source, FaultyServer]]:
    """Serve a look-alike; the source asks this machine and knows the look-alike's checksums."""
    original = source(name)
    alike = LAYOUTS[name][1](original)
    with serving(alike.served, **faults) as server:
        files = tuple(
            replace(
                remote,
                url=f"{server.address}/{remote.name}",
                size=None,
                checksum=remote.checksum
                and "sha256:" + hashlib.sha256(alike.served[remote.name]).hexdigest(),
            )
            for remote in original.files
            if remote.name in alike.served
        )
        yield alike, replace(original, files=files), server


def run_script(name: str, of: Source, data: Path, **options: object) -> int:
    steps, module = script("steps"), script(LAYOUTS[name][0])
    work = next(work for work in module.WORKS if work.source.name == name)
    chosen = steps.Options(data=data, **options)
    return steps.run([replace(work, source=of)], chosen, opener=OPENER)


def converted(of: Source, data: Path, *, index: int = 0) -> NnunetDataset:
    return read_dataset(data / "nnUNet_raw" / f"Dataset{of.number + index:03d}_{of.folder}")
