"""Examples from files of every kind, made here, and the errors of those that cannot be used."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fmtutor.core.ask import Support
from fmtutor.data.nifti import read_nifti
from fmtutor.data.support_files import query_from, read_support
from fmtutor.data.transforms import normalise

SHAPE = (6, 5)
LPS = np.diag([-1.0, -2.0, 3.0, 1.0])
"""An affine whose first two axes run against RAS."""
HU = np.random.default_rng(0).uniform(-300, 400, (*SHAPE, 4)).astype(np.float32)
GREY = np.random.default_rng(1).integers(10, 200, SHAPE).astype(np.uint8)
MASK = np.random.default_rng(2).random(SHAPE) > 0.6
LABELS = np.random.default_rng(3).choice([0, 2, 7], SHAPE).astype(np.uint8)


def nifti(path: Path, array: np.ndarray, affine: np.ndarray = LPS) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def png(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def min_max(array: np.ndarray) -> np.ndarray:
    array = array.astype(float)
    return (array - array.min()) / (array.max() - array.min())


def test_a_nifti_pair_comes_in_ras_through_the_window_of_its_modality(tmp_path):
    volume_mask = np.repeat(MASK[..., None], 4, axis=2).astype(np.uint8)
    image, mask = nifti(tmp_path / "a.nii.gz", HU), nifti(tmp_path / "m.nii.gz", volume_mask)
    support = read_support([image], [mask], name="liver")
    assert isinstance(support, Support)
    assert support.name == "liver"
    np.testing.assert_array_equal(support.images[0], normalise(HU[::-1, ::-1], "CT"))
    np.testing.assert_array_equal(support.masks[0], volume_mask[::-1, ::-1] == 1)
    np.testing.assert_array_equal(
        support.images[0], normalise(read_nifti(image).image, "CT"), "as the query's case has it"
    )
    assert support.spacings_mm == ((1.0, 2.0, 3.0),)
    magnetic = read_support([image], [mask], modality="MR")
    np.testing.assert_array_equal(magnetic.images[0], normalise(HU[::-1, ::-1], "MR"))


def test_a_nifti_of_one_slice_is_a_2d_example_whichever_axis_is_single(tmp_path):
    sagittal = HU[:, :, :1].transpose(2, 0, 1)
    images = [nifti(tmp_path / "a.nii", HU[:, :, :1]), nifti(tmp_path / "s.nii", sagittal)]
    masks = [
        nifti(tmp_path / "ma.nii", MASK[..., None].astype(np.uint8)),
        nifti(tmp_path / "ms.nii", MASK[None].astype(np.uint8)),
    ]
    support = read_support(images, masks)
    assert [image.shape for image in support.images] == [SHAPE, SHAPE]
    assert support.spacings_mm == ((1.0, 2.0), (2.0, 3.0)), "the single axis went with its edge"
    np.testing.assert_array_equal(support.masks[0], MASK[::-1, ::-1])


def test_pixels_of_arrays_count_as_square():
    assert read_support([GREY], [MASK]).spacings_mm == ((1.0, 1.0),)


@pytest.mark.parametrize(
    "pixels",
    [
        GREY,
        GREY.astype(np.uint16) * 300,
        np.repeat(GREY[..., None], 3, axis=2),
        np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]),
    ],
    ids=["8 bit", "16 bit", "colour", "colour with alpha"],
)
def test_a_picture_of_any_depth_is_scaled_from_its_smallest_to_its_largest_value(tmp_path, pixels):
    image = png(tmp_path / "image.png", pixels)
    mask = png(tmp_path / "mask.png", MASK.astype(np.uint8) * 255)
    support = read_support([image], [mask])
    np.testing.assert_allclose(support.images[0], min_max(GREY), atol=1e-6)
    np.testing.assert_array_equal(support.masks[0], MASK)
    np.testing.assert_array_equal(query_from(image), support.images[0])


@pytest.mark.parametrize("kind", ["array", "npy"])
def test_arrays_and_npy_files_are_scaled_alike(tmp_path, kind):
    def given(array: np.ndarray, name: str):
        if kind == "array":
            return array
        np.save(tmp_path / name, array)
        return tmp_path / name

    support = read_support([given(HU, "i.npy")], [given(HU > 0, "m.npy")])
    np.testing.assert_allclose(support.images[0], min_max(HU), atol=1e-6)
    np.testing.assert_array_equal(support.masks[0], HU > 0)
    np.testing.assert_array_equal(query_from(given(HU, "q.npy")), support.images[0])


def test_a_label_is_picked_from_a_map_and_may_be_missing_in_one_of_several():
    support = read_support([GREY, GREY], [LABELS, LABELS * (LABELS != 7)], label=7)
    np.testing.assert_array_equal(support.masks[0], LABELS == 7)
    assert not support.masks[1].any()


def test_a_label_that_no_mask_holds_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="label 3 is in none of the masks; they hold: 0, 2, 7"):
        read_support([GREY], [LABELS], label=3)


def test_a_label_map_without_a_label_is_refused_with_its_values(tmp_path):
    path = png(tmp_path / "mask.png", LABELS)
    with pytest.raises(ValueError, match=r"3 values in .*mask\.png; choose one with label=.*2, 7"):
        read_support([GREY], [path])


def test_a_palette_mask_of_colours_holds_its_labels_and_one_of_greys_its_greys(tmp_path):
    coloured = Image.fromarray(LABELS).convert("P")
    coloured.putpalette([0, 0, 0, 9, 9, 9, 255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3, 4, 5, 6, 7, 8])
    coloured.save(tmp_path / "coloured.png")
    support = read_support([GREY], [tmp_path / "coloured.png"], label=7)
    np.testing.assert_array_equal(support.masks[0], LABELS == 7)
    white_first = Image.fromarray((~MASK).astype(np.uint8)).convert("P")
    white_first.putpalette([255, 255, 255, 0, 0, 0])
    white_first.save(tmp_path / "grey.png")
    support = read_support([GREY], [tmp_path / "grey.png"])
    np.testing.assert_array_equal(support.masks[0], MASK)


def test_a_colour_mask_is_refused_with_what_to_do_and_a_grey_one_in_rgb_is_read(tmp_path):
    red = np.zeros((*SHAPE, 3), np.uint8)
    red[MASK, 0] = 255
    path = png(tmp_path / "red.png", red)
    with pytest.raises(ValueError, match=r"2 colours in .*red\.png; pick yours"):
        read_support([GREY], [path])
    grey = png(tmp_path / "grey.png", np.repeat(MASK[..., None], 3, axis=2).astype(np.uint8) * 255)
    np.testing.assert_array_equal(read_support([GREY], [grey]).masks[0], MASK)


def test_a_nifti_beside_an_array_or_on_another_grid_is_refused(tmp_path):
    image = nifti(tmp_path / "i.nii", HU)
    with pytest.raises(ValueError, match=r"beside a NIfTI stands a NIfTI, got .*i\.nii and an arr"):
        read_support([image], [HU > 0])
    shifted = LPS.copy()
    shifted[0, 3] += 1.0
    mask = nifti(tmp_path / "m.nii", (HU > 0).astype(np.uint8), shifted)
    with pytest.raises(ValueError, match="image and mask must share a grid"):
        read_support([image], [mask])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full(SHAPE, 4.0), "only 4 to 4 in an array, which is constant"),
        (np.where(MASK, np.nan, 1.0), "NaN or infinite values in an array"),
        (np.dstack([GREY] * 3), r"\(6, 5, 3\) bytes, which look like colours; average them"),
        (GREY[:0], r"an image has pixels, got shape \(0, 5\)"),
        (GREY.astype(complex), "must be real numbers, got complex128"),
    ],
)
def test_an_image_that_shows_nothing_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        query_from(image)
    with pytest.raises(ValueError, match=message):
        read_support([image], [MASK])


def test_a_ct_that_lies_outside_the_window_is_refused_with_the_modality(tmp_path):
    path = nifti(tmp_path / "high.nii", HU + 2000)
    with pytest.raises(ValueError, match=r"constant once scaled .*modality, here 'CT'"):
        query_from(path)


def test_files_that_are_missing_damaged_or_of_another_kind_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        query_from(tmp_path / "none.png")
    for name, message in [
        ("cut.png", "no readable PNG"),
        ("cut.npy", "no plain array"),
        ("scan.tif", r"are \.nii, \.nii\.gz, \.png or \.npy files"),
    ]:
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
        with pytest.raises(ValueError, match=message):
            query_from(tmp_path / name)


def test_one_file_instead_of_a_list_and_unequal_counts_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a list of files or arrays, got one str; write \[it\]"):
        read_support(str(png(tmp_path / "i.png", GREY)), [MASK])
    with pytest.raises(ValueError, match="got 2 images and 1 masks"):
        read_support([GREY, GREY], [MASK])
    with pytest.raises(ValueError, match="got 0 images and 0 masks"):
        read_support([], [], label=2)
