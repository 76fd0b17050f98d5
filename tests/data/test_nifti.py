"""NIfTI: whatever the orientation, what is written back lies where it was read."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmtutor.core.geometry import voxel_to_world, world_to_voxel
from fmtutor.data.cases import Case
from fmtutor.data.nifti import read_nifti, read_volume, write_nifti
from fmtutor.data.resampling import resample_case, to_grid

SHAPE = (6, 5, 9)
TABLE = {1: "liver", 2: "spleen", 7: "aorta"}
PIL = np.array([[0, 0, -0.8, 90.5], [-1.3, 0, 0, 12.25], [0, -4.1, 0, 700.0], [0, 0, 0, 1]])
"""An anisotropic affine whose axes run P, I, L."""


def oblique(affine: np.ndarray = PIL, degrees: float = 14.0) -> np.ndarray:
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ affine


def save(path: Path, array: np.ndarray, affine: np.ndarray = PIL) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def image_of(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32) * 200


def labels_of() -> np.ndarray:
    return np.random.default_rng(1).choice([0, 1, 2, 7], size=SHAPE).astype(np.uint8)


def save_by_quaternion(path: Path, affine: np.ndarray) -> Path:
    """Save with a qform and no sform, as some scanners' converters do."""
    image = nib.Nifti1Image(image_of(), None)
    image.set_qform(affine, code=1)
    image.set_sform(None, code=0)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("affine", [PIL, oblique()], ids=["straight", "oblique"])
def test_a_case_is_read_in_ras_with_each_voxel_in_its_place(tmp_path: Path, affine) -> None:
    array = image_of()
    case = read_nifti(save(tmp_path / "case.nii.gz", array, affine))
    assert case.name == "case"
    assert case.grid.orientation == "RAS"
    assert case.image.dtype == np.float32
    assert case.image.shape == (9, 6, 5)
    for voxel in [(0, 0, 0), (5, 4, 8), (2, 1, 6)]:
        there = world_to_voxel(voxel_to_world(np.array(voxel), affine), case.affine)
        assert case.image[tuple(np.round(there).astype(int))] == array[voxel]


def test_an_oblique_image_keeps_its_oblique_affine(tmp_path: Path) -> None:
    case = read_nifti(save(tmp_path / "case.nii", image_of(), oblique()))
    assert case.grid.is_oblique
    assert case.spacing_mm == pytest.approx((0.8, 1.3, 4.1), abs=1e-5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("affine", [PIL, oblique()], ids=["straight", "oblique"])
def test_labels_go_back_with_the_exact_affine_shape_and_voxels(
    tmp_path: Path, affine, suffix: str
) -> None:
    image = save(tmp_path / f"image{suffix}", image_of(), affine)
    labels = save(tmp_path / f"labels{suffix}", labels_of(), affine)
    case = read_nifti(image, labels=labels, table=TABLE)
    write_nifti(case.labels, case, tmp_path / f"out{suffix}")
    before, after = nib.load(labels), nib.load(tmp_path / f"out{suffix}")
    assert after.affine.tobytes() == before.affine.tobytes()
    assert after.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(after.dataobj), labels_of())


@pytest.mark.parametrize("degrees", [0.0, 14.0])
def test_an_affine_that_came_from_a_quaternion_goes_back_exactly(tmp_path: Path, degrees) -> None:
    path = save_by_quaternion(tmp_path / "q.nii.gz", oblique(degrees=degrees))
    case = read_nifti(path)
    write_nifti(case.image, case, tmp_path / "out.nii.gz")
    before, after = nib.load(path), nib.load(tmp_path / "out.nii.gz")
    assert np.array_equal(after.affine, before.affine)
    assert np.array_equal(after.get_fdata(), before.get_fdata())


def test_a_sheared_affine_goes_back_exactly(tmp_path: Path) -> None:
    sheared = PIL.copy()
    sheared[0, 0] = 0.25
    case = read_nifti(save(tmp_path / "s.nii.gz", image_of(), sheared))
    write_nifti(case.image, case, tmp_path / "out.nii.gz")
    assert np.array_equal(
        nib.load(tmp_path / "out.nii.gz").affine, nib.load(tmp_path / "s.nii.gz").affine
    )


@pytest.mark.parametrize(
    ("array", "stored"),
    [
        (np.ones(SHAPE, dtype=bool), np.uint8),
        (np.full(SHAPE, 117, dtype=np.int64), np.uint8),
        (np.full(SHAPE, 300, dtype=np.int64), np.int16),
        (np.full(SHAPE, 70_000, dtype=np.int64), np.int32),
        (np.full(SHAPE, -5, dtype=np.int64), np.int16),
        (np.full(SHAPE, 0.5, dtype=np.float64), np.float32),
    ],
)
def test_the_stored_type_is_the_smallest_that_holds_the_values(tmp_path, array, stored) -> None:
    case = read_nifti(save(tmp_path / "i.nii.gz", image_of()))
    write_nifti(case.native.array_to_ras(array), case, tmp_path / "out.nii.gz")
    back = nib.load(tmp_path / "out.nii.gz")
    assert back.get_data_dtype() == stored
    assert np.array_equal(np.asarray(back.dataobj), array)


def test_a_case_without_a_file_is_written_on_its_own_grid(tmp_path: Path) -> None:
    affine = np.diag([1.5, 2.0, 3.0, 1.0])
    case = Case(name="virtual", image=image_of(), affine=affine)
    write_nifti(case.image, case, tmp_path / "v.nii.gz")
    again = read_nifti(tmp_path / "v.nii.gz")
    assert np.array_equal(again.image, case.image)
    assert np.array_equal(again.affine, affine)


def test_a_resampled_result_is_refused_until_it_is_brought_back(tmp_path: Path) -> None:
    case = read_nifti(save(tmp_path / "i.nii.gz", image_of()))
    coarse = resample_case(case, (3.0, 3.0, 3.0))
    with pytest.raises(ValueError, match="to_grid"):
        write_nifti(coarse.image, coarse, tmp_path / "out.nii.gz")
    back = to_grid(coarse.image, coarse.grid, case.native.to_ras())
    write_nifti(back, case, tmp_path / "out.nii.gz")
    assert nib.load(tmp_path / "out.nii.gz").shape == SHAPE


def test_writing_refuses_another_shape_or_format(tmp_path: Path) -> None:
    case = read_nifti(save(tmp_path / "i.nii.gz", image_of()))
    with pytest.raises(ValueError, match="on the grid"):
        write_nifti(image_of(), case, tmp_path / "out.nii.gz")  # not in RAS
    with pytest.raises(ValueError, match=r"\.nii"):
        write_nifti(case.image, case, tmp_path / "out.mha")
    assert not list(tmp_path.glob("*out*"))


def test_scaled_integers_are_read_as_hu(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full(SHAPE, 1024, dtype=np.int16), PIL)
    image.header.set_slope_inter(1, -1024)
    nib.save(image, tmp_path / "hu.nii.gz")
    raw = nib.load(tmp_path / "hu.nii.gz")
    assert np.allclose(read_nifti(tmp_path / "hu.nii.gz").image, raw.get_fdata().ravel()[0])


def test_all_of_the_table_is_known_unless_said_otherwise(tmp_path: Path) -> None:
    image, labels = save(tmp_path / "i.nii", image_of()), save(tmp_path / "l.nii", labels_of())
    assert read_nifti(image, labels=labels, table=TABLE).known == {"liver", "spleen", "aorta"}
    partly = read_nifti(image, labels=labels, table=TABLE, known=["liver"])
    assert partly.known == {"liver"}


def test_labels_stored_as_whole_floats_are_accepted(tmp_path: Path) -> None:
    image = save(tmp_path / "i.nii", image_of())
    labels = save(tmp_path / "l.nii", labels_of().astype(np.float64))
    assert read_nifti(image, labels=labels, table=TABLE).labels.dtype == np.uint8


def test_a_fourth_axis_of_one_volume_is_dropped(tmp_path: Path) -> None:
    array = image_of()
    case = read_nifti(save(tmp_path / "i.nii", array[..., None]))
    assert np.array_equal(case.native.array_from_ras(case.image), array)


# --- bad files: one clear error each ------------------------------------------------------------


def zero_spacing(path: Path) -> None:
    save_by_quaternion(path, PIL)
    raw = bytearray(path.read_bytes())
    raw[76 + 4 * 2 : 76 + 4 * 3] = np.float32(0).tobytes()  # pixdim[2]
    path.write_bytes(raw)


def without_orientation(path: Path) -> None:
    nib.save(nib.Nifti1Image(image_of(), None), path)


def in_metres(path: Path) -> None:
    image = nib.Nifti1Image(image_of(), PIL)
    image.header.set_xyzt_units("meter")
    nib.save(image, path)


def with_nan(path: Path) -> None:
    array = image_of()
    array[0, 0, 0], array[1, 1, 1] = np.nan, np.inf
    save(path, array)


def in_colour(path: Path) -> None:
    save(path, np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]))


def cut_off(path: Path) -> None:
    path.write_bytes(save(path, image_of()).read_bytes()[:-200])


def singular(path: Path) -> None:
    save(path, image_of(), PIL)
    raw = bytearray(path.read_bytes())
    raw[280:328] = np.float32([[1, 1, 0, 0], [2, 2, 0, 0], [0, 0, 3, 0]]).tobytes()  # the sform
    path.write_bytes(raw)


BAD = {
    "four dimensions": (lambda p: save(p, image_of((4, 4, 4, 3))), "one 3D volume"),
    "two dimensions": (lambda p: save(p, image_of((4, 4))), "one 3D volume"),
    "colour": (in_colour, "real numbers"),
    "complex": (lambda p: save(p, np.zeros(SHAPE, dtype=np.complex64)), "real numbers"),
    "not a number": (with_nan, "2 NaN or infinite"),
    "zero spacing": (zero_spacing, "spacing must be positive"),
    "singular affine": (singular, "invertible"),
    "no orientation": (without_orientation, "nothing about orientation"),
    "metres": (in_metres, "must be in mm"),
    "cut off": (cut_off, "cut off or damaged"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "headless": (lambda p: p.write_bytes((348).to_bytes(4, "little") + bytes(600)), "readable"),
    "text": (lambda p: p.write_text("not an image " * 50), "not a NIfTI"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    make, message = BAD[kind]
    path = tmp_path / "bad.nii"
    make(path)
    with pytest.raises(ValueError, match=message) as caught:
        read_nifti(path)
    assert "bad.nii" in str(caught.value)


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
def test_a_truncated_gzip_is_one_clear_error(tmp_path: Path, keep: float) -> None:
    path = save(tmp_path / "cut.nii.gz", image_of((20, 20, 20)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ValueError, match="cut off or damaged"):
        read_nifti(path)


def test_a_damaged_gzip_is_one_clear_error(tmp_path: Path) -> None:
    path = save(tmp_path / "damaged.nii.gz", image_of((20, 20, 20)))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 400] = bytes(400)
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="cut off or damaged"):
        read_nifti(path)


def test_a_gzip_of_something_else_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "text.nii.gz"
    path.write_bytes(gzip.compress(b"no image" * 100))
    with pytest.raises(ValueError, match="not a NIfTI"):
        read_nifti(path)


def test_another_image_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "brain.mgz"
    nib.save(nib.MGHImage(image_of(), PIL), path)
    with pytest.raises(ValueError, match="not a NIfTI"):
        read_nifti(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.nii\.gz"):
        read_nifti(tmp_path / "none.nii.gz")


def shifted(affine: np.ndarray, by_mm: float) -> np.ndarray:
    moved = affine.copy()
    moved[1, 3] += by_mm
    return moved


def stray(path: Path) -> None:
    array = labels_of()
    array[0, 0, 0] = 9
    save(path, array)


BAD_LABELS = {
    "ids outside the table": (stray, r"\[9\]"),
    "fractions": (lambda p: save(p, labels_of() + 0.5), "whole numbers"),
    "negative ids": (lambda p: save(p, labels_of().astype(np.int16) * -1), "-7"),
    "not a number": (lambda p: save(p, np.full(SHAPE, np.nan)), "whole numbers"),
    "another shape": (lambda p: save(p, np.zeros((5, 5, 9), np.uint8)), "share a grid"),
    "another place": (lambda p: save(p, labels_of(), shifted(PIL, 0.3)), "share a grid"),
    "another orientation": (lambda p: save(p, labels_of(), PIL * [[1], [-1], [1], [1]]), "share"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels_that_do_not_fit_are_one_clear_error(tmp_path: Path, kind: str) -> None:
    make, message = BAD_LABELS[kind]
    make(tmp_path / "labels.nii")
    with pytest.raises(ValueError, match=message):
        read_nifti(
            save(tmp_path / "i.nii", image_of()), labels=tmp_path / "labels.nii", table=TABLE
        )


def test_labels_without_a_table_are_refused(tmp_path: Path) -> None:
    image, labels = save(tmp_path / "i.nii", image_of()), save(tmp_path / "l.nii", labels_of())
    with pytest.raises(ValueError, match="table="):
        read_nifti(image, labels=labels)


def test_labels_may_differ_by_rounding_of_the_affine(tmp_path: Path) -> None:
    image = save(tmp_path / "i.nii", image_of())
    labels = save(tmp_path / "l.nii", labels_of(), PIL + 1e-5 * (PIL != 0) * (PIL != 1))
    assert read_nifti(image, labels=labels, table=TABLE).labels is not None


def test_a_volume_is_read_as_it_is_stored(tmp_path: Path) -> None:
    array, grid = read_volume(save(tmp_path / "i.nii", labels_of()))
    assert np.array_equal(array, labels_of())
    assert grid.orientation == "PIL"
