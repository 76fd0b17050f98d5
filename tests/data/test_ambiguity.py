"""Slices with two right answers, on a case made by hand and on a virtual patient."""

from dataclasses import replace

import numpy as np
import pytest

from fmtutor.data.ambiguity import READINGS, ambiguous_slices, readings
from fmtutor.data.cases import Case
from fmtutor.data.cohort import draw, realise
from fmtutor.data.domains import CENTRES, LESIONS
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.transforms import normalise

SHAPE = (20, 18, 6)
TABLE = {1: "liver", 2: "liver_lesion", 3: "spleen"}


def patient(**changes) -> Case:
    """A liver of 10x10 pixels on slices 0-4; its lesion takes 0, 1, 8, 20 and all 100 of them."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 4:14, :5] = 1
    labels[5, 4, 1] = 2
    labels[5:7, 4:8, 2] = 2
    labels[5:7, 4:14, 3] = 2
    labels[5:15, 4:14, 4] = 2
    image = np.random.default_rng(0).uniform(-200, 300, SHAPE).astype(np.float32)
    case = Case(
        name="made",
        image=image,
        affine=np.diag([2.0, 3.0, 5.0, 1.0]),
        labels=labels,
        table=TABLE,
        known=frozenset({"liver", "liver_lesion"}),
    )
    return replace(case, **changes)


def test_the_slices_are_those_on_which_the_lesion_matters_and_organ_is_left():
    assert [s.index for s in ambiguous_slices(patient(), "liver", "liver_lesion")] == [2, 3]
    at_least = {0.01: [1, 2, 3], 0.08: [2, 3], 0.09: [3], 0.2: [3], 0.21: []}
    for least, expected in at_least.items():
        found = ambiguous_slices(patient(), "liver", "liver_lesion", least=least)
        assert [each.index for each in found] == expected
        assert all(each.share >= least for each in found)


def test_the_answers_are_the_organ_with_and_without_the_lesion_on_the_normalised_image():
    case = patient()
    found = ambiguous_slices(case, "liver", "liver_lesion")[1]
    assert READINGS == ("with lesion", "without lesion")
    np.testing.assert_array_equal(found.answers[0], np.isin(case.labels[..., 3], (1, 2)))
    np.testing.assert_array_equal(found.answers[1], case.labels[..., 3] == 1)
    np.testing.assert_array_equal(found.image, normalise(case.image, "CT")[..., 3])
    assert (found.case, found.organ, found.axis, found.index) == ("made", "liver", 2, 3)
    assert found.share == pytest.approx(0.2)
    assert found.image.dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1])
def test_another_axis_gives_the_slices_across_it(axis):
    case = patient()
    found = ambiguous_slices(case, "liver", "liver_lesion", axis=axis)
    assert found
    for each in found:
        labels = case.labels.take(each.index, axis)
        np.testing.assert_array_equal(each.answers, [np.isin(labels, (1, 2)), labels == 1])
        assert each.image.shape == labels.shape
        assert each.spacing_mm == {0: (3.0, 5.0), 1: (2.0, 5.0)}[axis]


def test_a_slice_that_grazes_the_organ_is_left_out_by_its_area():
    area_mm2 = 100 * 2.0 * 3.0
    kept = ambiguous_slices(patient(), "liver", "liver_lesion", smallest_mm2=area_mm2)
    assert [each.index for each in kept] == [2, 3]
    assert not ambiguous_slices(patient(), "liver", "liver_lesion", smallest_mm2=area_mm2 + 1)


def test_a_patient_without_a_lesion_gives_none_and_one_not_annotated_is_refused():
    healthy = patient(labels=np.minimum(patient().labels, 1))
    assert ambiguous_slices(healthy, "liver", "liver_lesion") == []
    with pytest.raises(ValueError, match=r"'made', which does not annotate \['liver_lesion'\]"):
        ambiguous_slices(patient(known=frozenset({"liver"})), "liver", "liver_lesion")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"axis": 3}, "0, 1 or 2, got 3"), ({"least": 5.0}, "got 5.0; write 0.05 for five percent")],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ambiguous_slices(patient(), "liver", "liver_lesion", **options)


def test_readings_name_the_protocols_that_agree():
    wide, bare = Region.of("liver", "liver", "liver_lesion"), Region.of("liver")
    protocols = [
        Protocol("a", (wide,)),
        Protocol("b", (bare,)),
        Protocol("c", (Region.of("spleen"),)),
        Protocol("d", (Region.of("spleen"), wide)),
    ]
    assert readings("liver", protocols) == {wide.structures: ("a", "d"), bare.structures: ("b",)}


def test_the_training_centres_contradict_each_other_on_the_liver_and_its_tumour():
    found = readings("liver", [centre.protocol for centre in CENTRES.values()])
    assert set(found) == {
        frozenset({"liver", "liver_lesion"}),
        frozenset({"liver"}),
    }
    assert "liver_unit" in found[frozenset({"liver", LESIONS["liver"]})]
    assert "abdomen_atlas" in found[frozenset({"liver"})]


def test_a_virtual_patient_with_a_lesion_has_slices_with_both_answers(samples):
    centre = CENTRES["liver_unit"]
    recipe = replace(draw(centre, 1), length_mm=400.0, lesions=("liver",), slice_mm=3.0)
    case = realise(centre, recipe, name="liver")
    found = ambiguous_slices(case, "liver", LESIONS["liver"])
    assert found
    for each in found:
        whole, bare = each.answers
        assert bare.any()
        assert not (bare & ~whole).any()
        assert 0.05 <= each.share < 1
        assert 0 <= each.image.min() < each.image.max() <= 1
