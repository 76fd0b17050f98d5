"""What an annotation settles, what it leaves open, and who decides then."""

import numpy as np
import pytest

from fmtutor.data.completion import (
    annotation,
    cells,
    complete,
    completed_protocol,
    how_annotated,
    left_open,
    open_cells,
    suspicion,
)
from fmtutor.data.domains import CENTRES
from fmtutor.data.regions import Protocol, Region

ALL = completed_protocol([centre.protocol for centre in CENTRES.values()])
CELLS = cells(ALL)
NAMES = [region.name for region in ALL.regions]


def options(centre: str, *drawn: str) -> set[str]:
    """Names of what a voxel may be that lies in these regions of a centre and in no other."""
    protocol = CENTRES[centre].protocol
    pattern = sum(1 << n for n, region in enumerate(protocol.regions) if region.name in drawn)
    return {CELLS[n].name for n in open_cells(pattern, protocol, CELLS)}


def completed(centre: str, drawn: tuple[str, ...], **probability: float) -> str:
    """Complete one voxel; the model gives the classes not named a probability of 0."""
    protocol = CENTRES[centre].protocol
    pattern = sum(1 << n for n, region in enumerate(protocol.regions) if region.name in drawn)
    scores = np.array([probability.get(name, 0.0) for name in NAMES], np.float16)
    made = complete(np.full((1, 1, 1), pattern), protocol, ALL, scores[:, None, None, None])
    return CELLS[int(made.item()) - 1].name if made.item() else "nothing"


def test_organs_are_completed_with_their_lesions_and_the_aorta_whole() -> None:
    assert ALL.region("liver") == Region.of("liver", "liver", "liver_lesion")
    aorta = ALL.region("aorta")
    assert aorta is not None
    assert aorta.structures == {"aorta", "aorta_suprarenal", "aorta_infrarenal"}
    merged, left, right = (ALL.region(f"kidney{end}") for end in ("s", "_left", "_right"))
    assert merged is not None
    assert left is not None
    assert right is not None
    assert merged.structures == left.structures | right.structures


def test_an_annotated_organ_leaves_nothing_open_inside_and_itself_closed_outside() -> None:
    assert options("liver_unit", "liver") == {"liver"}
    assert options("liver_unit", "liver", "liver_lesion") == {"liver_lesion"}
    assert options("liver_unit").isdisjoint({"liver", "liver_lesion"})


def test_outside_the_bare_liver_there_may_be_a_lesion_but_no_liver_tissue() -> None:
    assert options("abdomen_atlas", "liver") == {"liver"}
    assert "liver_lesion" in options("abdomen_atlas")
    assert "liver" not in options("abdomen_atlas")


def test_merged_kidneys_leave_the_side_open_and_nothing_else() -> None:
    sides = {"kidney_left", "kidney_right", "kidney_lesion_left", "kidney_lesion_right"}
    assert options("survey", "kidneys") == sides
    assert options("survey").isdisjoint(sides)


def test_below_the_kidneys_the_aorta_is_drawn_and_above_it_is_open() -> None:
    assert options("spine_clinic", "aorta") == {"aorta"}
    assert "aorta" in options("spine_clinic")


def test_the_annotation_stands_whatever_the_model_says() -> None:
    assert completed("liver_unit", ("liver",), spleen=1.0) == "liver"
    assert completed("liver_unit", (), liver=1.0) == "nothing"


def test_an_open_voxel_goes_to_the_likeliest_class_above_one_half() -> None:
    assert completed("liver_unit", (), spleen=0.8, stomach=0.6) == "spleen"
    assert completed("liver_unit", (), spleen=0.4, stomach=0.45) == "nothing"


def test_the_model_chooses_the_side_of_a_merged_kidney_even_when_it_is_unsure() -> None:
    assert completed("survey", ("kidneys",), kidney_left=0.2, kidney_right=0.1, spleen=1.0) == (
        "kidney_left"
    )


def test_a_hole_that_the_model_reads_as_liver_is_a_lesion_of_the_bare_liver() -> None:
    seen = completed("abdomen_atlas", (), liver=0.999, liver_lesion=0.1)
    assert seen == "liver_lesion"
    edge = completed("abdomen_atlas", (), liver=0.7, liver_lesion=0.02)
    assert edge == "nothing"


def test_the_annotation_holds_no_trace_of_other_structures() -> None:
    labels = np.arange(3).reshape(3, 1, 1)
    drawn = annotation(labels, {1: "liver", 2: "spleen"}, CENTRES["liver_unit"].protocol)
    assert drawn.ravel().tolist() == [0, 1, 0]


def test_a_region_that_the_shared_protocol_lacks_is_one_clear_error() -> None:
    narrow = completed_protocol([Protocol("a", (Region.of("liver"),))])
    spleen = Protocol("b", (Region.of("spleen"),))
    with pytest.raises(ValueError, match="completed_protocol"):
        complete(np.ones((1, 1, 1), int), spleen, narrow, np.zeros((2, 1, 1, 1), np.float16)[:1])


def test_suspicion_rises_with_doubt_and_with_disagreement() -> None:
    sure = np.zeros((2, 1, 4, 4, 4), np.float32)
    sure[:, :, :2] = 1.0
    unsure, divided = sure.copy(), sure.copy()
    unsure[unsure == 1] = 0.7
    divided[1] = 1 - divided[1]
    scores = [float(suspicion(p)[0]) for p in (sure, unsure, divided, np.zeros_like(sure))]
    assert scores[3] == 0
    assert scores[0] < 0.05 < scores[1] < scores[2]


def test_each_class_of_a_centre_is_known_whole_in_part_or_not_at_all() -> None:
    def reading(name: str, centre: str) -> str:
        region = ALL.region(name)
        assert region is not None
        return how_annotated(region, CENTRES[centre].protocol, ALL)

    assert reading("liver", "liver_unit") == "whole"
    assert reading("liver", "abdomen_atlas") == "part"
    assert reading("aorta", "spine_clinic") == "part"
    assert reading("kidney_left", "survey") == "part"
    assert reading("kidneys", "survey") == "whole"
    assert reading("kidneys", "abdomen_atlas") == "whole"  # both sides are drawn
    assert reading("spleen", "bowel_unit") == "no"


def test_the_voxels_that_a_model_decides_are_those_that_the_annotation_leaves_open() -> None:
    survey = CENTRES["survey"].protocol
    drawn = annotation(np.arange(3).reshape(3, 1, 1), {1: "kidney_left", 2: "liver"}, survey)
    for name, expected in (
        ("kidney_left", [False, True, False]),
        ("kidneys", [False, False, False]),
        ("liver_lesion", [False, False, True]),
        ("colon", [True, False, False]),
    ):
        assert left_open(drawn, survey, ALL, name).ravel().tolist() == expected, name
