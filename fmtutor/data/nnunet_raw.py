"""nnU-Net v2's raw layout as a dataset here: read lazily, written with its label rules.

``imagesTr/CASE_0000.nii.gz``, ``labelsTr/CASE.nii.gz`` and ``dataset.json``. Two keys of ours may
stand in ``dataset.json``, which nnU-Net passes over: ``annotated``, the labels that this dataset
annotates (without it: all), and ``structures``, label id to structure name, for the ids that no
label of region-based training names alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fmtutor.core.files import read_json
from fmtutor.data.cases import Case
from fmtutor.data.nifti import SUFFIXES, read_nifti
from fmtutor.data.regions import Protocol, Region


@dataclass(frozen=True, kw_only=True)
class NnunetDataset:
    """A dataset folder; ``dataset[i]`` reads case ``i``, ``dataset["name"]`` the case of a name."""

    folder: Path
    """The folder with ``dataset.json``."""
    name: str
    """The folder's name, such as "Dataset017_Abdomen"."""
    names: tuple[str, ...]
    """The training cases, sorted."""
    table: Mapping[int, str]
    """Label id to structure name."""
    protocol: Protocol
    """The annotated labels as regions, in the order of ``dataset.json``."""
    modality: str
    """"CT" or "MR" of the channel that is read."""
    channel: int
    """Number of the channel that is read."""
    suffix: str
    """``.nii.gz`` or ``.nii``."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: int | str) -> Case:
        name = key if isinstance(key, str) else self.names[key]
        if name not in self.names:
            raise ValueError(f"no case {name!r} in {self.folder}; it has {', '.join(self.names)}.")
        case = read_nifti(
            self.image_path(name),
            labels=self.folder / "labelsTr" / f"{name}{self.suffix}",
            table=self.table,
            known=self.known,
            modality=self.modality,
            name=name,
        )
        return replace(case, provenance=f"{self.name}/{name}")

    def __iter__(self) -> Iterator[Case]:
        return (self[name] for name in self.names)

    @property
    def known(self) -> frozenset[str]:
        """The structures of the annotated regions."""
        return frozenset().union(*(region.structures for region in self.protocol.regions))

    def image_path(self, name: str, *, part: str = "imagesTr") -> Path:
        """Return the file of a case's channel, in "imagesTr" or "imagesTs"."""
        return self.folder / part / f"{name}_{self.channel:04d}{self.suffix}"


def read_dataset(
    folder: str | Path,
    *,
    channel: int | None = None,
    rename: Mapping[str, str] | None = None,
) -> NnunetDataset:
    """Open a folder in nnU-Net v2's raw layout; cases are read when they are asked for.

    Args:
        folder: Holds ``dataset.json``, ``imagesTr`` and ``labelsTr``.
        channel: Which image channel to read; needed where there are several.
        rename: Label name of the dataset to canonical structure name, such as
            ``{"Leber": "liver"}``.

    Raises:
        FileNotFoundError: The folder or ``dataset.json`` is missing.
        ValueError: ``dataset.json`` lacks a key or contradicts itself, or images and labels do
            not pair up; the message names what.
    """
    folder = Path(folder)
    if not (folder / "dataset.json").is_file():
        raise FileNotFoundError(f"no dataset.json in {folder}; pass a raw dataset folder.")
    plan = _plan(folder / "dataset.json")
    number = _channel(plan["channel_names"], channel, folder)
    labels = _labels(plan["labels"], rename or {}, folder)
    table = _table(labels, plan.get("structures", {}), rename or {})
    annotated = [(rename or {}).get(name, name) for name in plan.get("annotated", labels)]
    if stray := sorted(set(annotated) - set(labels)):
        raise ValueError(f"annotated names must be labels, {folder} has {stray} that are none.")
    regions = [Region(n, frozenset(table[i] for i in labels[n])) for n in labels if n in annotated]
    channel_name = str(plan["channel_names"][str(number)])
    return NnunetDataset(
        folder=folder,
        name=folder.name,
        names=_case_names(folder, number, plan),
        table=table,
        protocol=Protocol(folder.name, tuple(regions)),
        modality="CT" if channel_name.upper().startswith("CT") else "MR",
        channel=number,
        suffix=plan["file_ending"],
    )


def _plan(path: Path) -> dict[str, Any]:
    """Return ``dataset.json`` after checking that it has what nnU-Net v2 asks for."""
    try:
        plan = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}; fix it.") from error
    wanted = ("channel_names", "labels", "numTraining", "file_ending")
    if missing := [key for key in wanted if key not in plan]:
        raise ValueError(
            f"dataset.json of nnU-Net v2 needs {missing} in {path}; "
            "nnUNetv2_convert_old_nnUNet_dataset brings a v1 dataset there."
        )
    if plan["file_ending"] not in SUFFIXES:
        raise ValueError(
            f"file_ending must be one of {SUFFIXES}, got {plan['file_ending']!r} in {path}."
        )
    if "dataset" in plan:
        raise ValueError(f"lists of files under 'dataset' are not read ({path}); use imagesTr.")
    return plan


def _channel(names: Mapping[str, str], channel: int | None, folder: Path) -> int:
    if channel is None and len(names) > 1:
        raise ValueError(
            f"a case has one image, {folder} has channels {dict(names)}; choose channel=."
        )
    number = int(next(iter(names))) if channel is None else channel
    if str(number) not in names:
        raise ValueError(f"no channel {number} in {folder}; it has {dict(names)}.")
    return number


def _labels(
    labels: Mapping[str, Any], rename: Mapping[str, str], folder: Path
) -> dict[str, tuple[int, ...]]:
    """Return each label's ids, without the background."""
    if "ignore" in labels:
        raise ValueError(
            f"voxels without annotation are not read, {folder} has an 'ignore' label; "
            "leave those cases out, or drop the label from dataset.json if no voxel has it."
        )
    if labels.get("background") != 0:
        raise ValueError(
            f"labels need 'background': 0, got {labels.get('background')} in {folder}."
        )
    named = {rename.get(name, name): ids for name, ids in labels.items() if name != "background"}
    if len(named) < len(labels) - 1:
        raise ValueError(f"renamed labels must differ, got {sorted(named)} in {folder}.")
    return {
        name: tuple(int(i) for i in (ids if isinstance(ids, list) else [ids]))
        for name, ids in named.items()
    }


def _table(
    labels: Mapping[str, tuple[int, ...]], structures: Mapping[str, str], rename: Mapping[str, str]
) -> dict[int, str]:
    """Name every id: by ``structures``, else by the label that is this id alone, else by number."""
    own = {int(number): rename.get(name, name) for number, name in structures.items()}
    alone = {ids[0]: name for name, ids in labels.items() if len(ids) == 1}
    every = sorted({number for ids in labels.values() for number in ids} | set(own))
    return {number: own.get(number) or alone.get(number) or f"label_{number}" for number in every}


def _case_names(folder: Path, channel: int, plan: Mapping[str, Any]) -> tuple[str, ...]:
    suffix = plan["file_ending"]
    ending = f"_{channel:04d}{suffix}"
    images = {p.name.removesuffix(ending) for p in (folder / "imagesTr").glob(f"*{ending}")}
    labels = {p.name.removesuffix(suffix) for p in (folder / "labelsTr").glob(f"*{suffix}")}
    if images != labels:
        raise ValueError(
            f"each image needs a label map and the reverse, {folder} has no labels for "
            f"{sorted(images - labels)[:5]} and no images for {sorted(labels - images)[:5]}."
        )
    if len(images) != plan["numTraining"]:
        raise ValueError(
            f"numTraining must count the cases, {folder}/dataset.json says {plan['numTraining']} "
            f"and there are {len(images)}; copy what is missing or correct it."
        )
    return tuple(sorted(images))
