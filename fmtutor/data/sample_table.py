"""The real volumes: what each is, its licence, and the one role it has.

Files and sha256 stand in `fmtutor.data.sample_files`; `fmtutor.data.samples` fetches and reads
them. Roles:

- ``grows``: virtual patients are grown from it, models are trained on it; a score on it is marked
  "seen anatomy";
- ``test_only``: it is never a source of training data. `check_sources` keeps that for model cards.

Masks of the CT and MR samples were made by a model (TotalSegmentator), not drawn by experts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from fmtutor.core.tables import lookup
from fmtutor.data.sample_files import ARCHIVES

Role = Literal["grows", "test_only"]
_MODEL_MADE = "Masks are model-made (TotalSegmentator)."


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One real volume."""

    image: str
    """File or DICOM folder, inside the sample's folder."""
    labels: Mapping[str, str]
    """Label files by name, inside the sample's folder. What they are together, ``table`` says."""
    table: str
    """What label ids mean: "totalsegmentator_v2", "totalsegmentator_mr", "masks" (one binary file
    per structure), "atlas" (`fmtutor.data.anatomy.BRAIN_TABLES`), "tissue" (maps of 0-255)."""
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
    "vertebrae_T12",
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
            "vessels (the aorta is dissected) on cropped grids of the same voxels. "
            f"{_MODEL_MADE}"
        ),
    ),
    "brain_mni": Sample(
        image="MNI152_T1_1mm_brain.nii.gz",
        labels={
            "desikan_killiany": "atlas_desikan_killiany.nii.gz",
            "aal": "atlas_aal.nii.gz",
            "neuromorphometrics": "atlas_neuromorphometrics.nii.gz",
        },
        table="atlas",
        role="grows",
        modality="MR",
        licence=(
            "wheel: BSD-3-Clause; template: FSL (non-commercial); Desikan-Killiany: FreeSurfer; "
            "AAL: GPL; Neuromorphometrics: CC BY-NC"
        ),
        description=(
            "Average brain T1 (MNI152 as in FSL 5, brain only, 1 mm) with three atlas maps, "
            "each on a grid of its own in the same space; `load_sample` brings them to the image."
        ),
    ),
    "brain_tissue": Sample(
        image="mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        labels={
            "grey_matter": "mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
            "cerebral_white_matter": "mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
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


def source_sha256s(name: str) -> list[str]:
    """Return the digests of all files of a sample, for the sources of a model card."""
    lookup(SAMPLES, name, "sample")
    members = [member for archive in ARCHIVES for member in archive.members]
    return [member.sha256 for member in members if member.sample == name]
