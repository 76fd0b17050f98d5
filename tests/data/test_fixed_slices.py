import numpy as np
import pytest

from fmtutor.data.cases import Case
from fmtutor.data.fixed_slices import fixed_slices
from fmtutor.data.transforms import normalise


def case(**changes) -> Case:
    labels = np.zeros((40, 32, 20), np.uint8)
    labels[6:22, 6:22, 2:18] = 1
    labels[10:14, 10:14, 4:16] = 2
    labels[28:36, 8:16, 10:12] = 3
    labels[2:4, 2:4, :] = 4
    image = np.random.default_rng(0).normal(40, 60, labels.shape).astype(np.float32)
    table = {1: "liver", 2: "liver_lesion", 3: "spleen", 4: "aorta"}
    given = {"name": "p", "image": image, "affine": np.diag((3.0, 3.0, 3.0, 1.0)),
             "labels": labels, "table": table}  # fmt: skip
    return Case(**{**given, **changes})


def test_every_structure_is_shown_by_slices_spread_over_it():
    found = fixed_slices(case(), ["liver"], size=40)
    assert [s.index for s in found] == [4, 10, 15]
    assert {s.axis for s in found} == {"axial"}


def test_a_slice_is_asked_for_all_that_it_shows():
    found = {
        s.index: s.objects.names[0] for s in fixed_slices(case(), ["liver", "spleen"], size=40)
    }
    assert found[10] == found[11] == ("liver", "spleen")
    assert found[4] == ("liver",)


def test_masks_are_those_of_the_case_with_lesions_inside_their_organ():
    first = fixed_slices(case(), ["liver"], size=40)[0]
    expected = np.zeros((40, 40), bool)
    expected[6:22, 10:26] = True  # the slice is centred in its square: four columns of air
    assert np.array_equal(first.objects.target[0, 0].numpy(), expected)
    assert first.objects.known.all()


def test_images_are_normalised_slices_and_nothing_is_augmented():
    patient = case()
    found = fixed_slices(patient, ["liver"], size=40)[1]
    shown = found.frame.back(found.objects.image)[0].numpy()
    expected = normalise(patient.image, "CT")[:, :, found.index]
    assert np.abs(shown - expected).max() < 1e-6
    again = fixed_slices(patient, ["liver"], size=40)[1]
    assert again.objects.seed == found.objects.seed


def test_structures_that_are_small_or_not_annotated_are_left_out():
    assert fixed_slices(case(), ["aorta", "pancreas"], size=40) == []
    assert len(fixed_slices(case(), ["aorta"], size=40, least_pixels=4)) == 3


def test_slabs_hold_the_neighbours_and_repeat_the_last_slice_at_the_end():
    patient = case()
    found = fixed_slices(patient, ["aorta"], size=40, least_pixels=4, depth=5, per_structure=20)
    assert found[0].objects.image.shape == (1, 1, 40, 40, 5)
    assert found[0].objects.target.shape == (1, 1, 40, 40, 5)
    image = found[0].objects.image[0, 0]
    assert np.array_equal(image[..., 0], image[..., 2])
    assert np.array_equal(image[..., 3], found[1].objects.image[0, 0, ..., 2])


def test_other_axes_are_cut_as_well():
    found = fixed_slices(case(), ["spleen"], size=40, axis="sagittal", least_pixels=10)
    assert {s.axis for s in found} == {"sagittal"}
    assert all(28 <= s.index < 36 for s in found)


def test_a_case_without_labels_and_an_unknown_axis_are_refused():
    with pytest.raises(ValueError, match="need labels"):
        fixed_slices(case(labels=None), ["liver"])
    with pytest.raises(ValueError, match="an axis of"):
        fixed_slices(case(), ["liver"], axis="oblique")
    with pytest.raises(ValueError, match="odd depth"):
        fixed_slices(case(), ["liver"], depth=2)
