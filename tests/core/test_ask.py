import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmtutor.core.ask import (
    Ask,
    Boxes,
    Classes,
    Clicks,
    PreviousMask,
    Scribbles,
    Support,
    Text,
    answerable,
    as_ask,
    check_inside,
)

CLICKS = Clicks(points_vox=((1, 2, 3),), positive=(True,))
BOX = Boxes(boxes_vox=((0, 0, 0, 4, 4, 4),))
RAMP = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
"""An image that is not constant."""
SPOT = np.eye(3, 4, dtype=bool)


STROKE = np.zeros((4, 5, 6), dtype=bool)
STROKE[1, 1:3, 2] = True


def unchecked(kind, **values):
    """Build a part past the type check of the tests, as a careless caller would."""
    part = object.__new__(kind)
    vars(part).update(values)
    part.__post_init__()
    return part


def support(images=(RAMP,), masks=(SPOT,), name="structure") -> Support:
    return Support(tuple(images), tuple(masks), name)


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    out = array.astype(np.float32)
    out[1, 1] = value
    return out


def test_parts_and_asks_combine_in_order_from_either_side():
    ask = CLICKS & BOX & Text("liver")
    assert ask == Ask((CLICKS, BOX, Text("liver")))
    assert CLICKS & (BOX & Text("liver")) == ask
    assert (CLICKS & BOX) & Ask((Text("liver"),)) == ask


def test_a_part_alone_is_an_ask_and_an_ask_stays_itself():
    ask = as_ask(CLICKS)
    assert ask == Ask((CLICKS,))
    assert as_ask(ask) is ask


def test_the_parts_come_sorted_by_kind_and_unasked_kinds_are_missing():
    found = answerable(BOX & CLICKS, Clicks, Boxes, Text, system="SAM")
    assert found == {Boxes: BOX, Clicks: CLICKS}


def test_a_part_that_the_system_cannot_answer_is_refused_with_those_it_can():
    with pytest.raises(ValueError, match="SAM cannot answer Text; it answers: Clicks, Boxes"):
        answerable(CLICKS & Text("liver"), Clicks, Boxes, system="SAM")


def test_a_kind_asked_twice_is_refused():
    with pytest.raises(ValueError, match="Classes twice; merge them"):
        answerable(Classes(("liver",)) & Classes(("spleen",)), Classes, system="U-Net")


def test_parts_that_hold_arrays_are_compared_by_identity():
    one, two = (Scribbles(inside=np.ones((2, 2, 2), bool)) for _ in range(2))
    assert one == one
    assert one != two


@pytest.mark.parametrize(
    "mask",
    [SPOT, SPOT.astype(np.float32), SPOT.astype(np.uint8) * 255, SPOT.astype(np.int64)],
    ids=["bool", "0 and 1", "0 and 255", "integers"],
)
def test_a_binary_mask_of_any_spelling_is_kept_as_bool(mask):
    given = support(masks=[mask])
    assert given.masks[0].dtype == bool
    np.testing.assert_array_equal(given.masks[0], SPOT)


def test_an_image_is_kept_as_float32_whatever_its_type():
    given = support(images=[(RAMP * 1000).astype(np.int16)])
    assert given.images[0].dtype == np.float32
    np.testing.assert_array_equal(given.images[0], (RAMP * 1000).astype(np.int16))


def test_pairs_may_differ_in_size_and_one_mask_of_several_may_be_empty():
    given = support([RAMP, np.vstack([RAMP, RAMP + 1])], [SPOT, np.zeros((6, 4))])
    assert [mask.shape for mask in given.masks] == [(3, 4), (6, 4)]
    assert not given.masks[1].any()


def test_volumes_are_a_support_too():
    given = support([RAMP[..., None] * np.ones(5)], [np.repeat(SPOT[..., None], 5, axis=2)])
    assert given.images[0].shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ((), (), "got 0 images and 0 masks"),
        ((RAMP, RAMP), (SPOT,), "got 2 images and 1 masks"),
        ((RAMP[0],), (SPOT[0],), r"got shape \(4,\) for image 0; drop"),
        ((RAMP[:0],), (SPOT[:0],), r"got shape \(0, 4\) for image 0"),
        ((RAMP,), (SPOT.T,), r"got \(3, 4\) and \(4, 3\) in pair 0"),
        ((RAMP, RAMP), (SPOT, SPOT * 3), r"got values 0, 3 in mask 1; pick one structure"),
        ((RAMP,), (RAMP,), r"got values 0, 0.0909\d*, .*, \.\.\. in mask 0; .*threshold"),
        ((RAMP,), (np.where(RAMP > 0.5, 255, SPOT),), "got values 0, 1, 255 in mask 0"),
        ((with_value(RAMP, np.nan),), (SPOT,), "got 1 NaN or infinite values in image 0"),
        ((with_value(RAMP, np.inf),), (SPOT,), "got 1 NaN or infinite values in image 0"),
        ((RAMP,), (with_value(SPOT, np.nan),), "got 1 NaN or infinite values in mask 0"),
        ((RAMP, RAMP * 0 + 7), (SPOT, SPOT), "got 7 everywhere in image 1; leave the pair out"),
        ((RAMP, RAMP), (SPOT & False, SPOT & False), "got 2 masks that are all empty"),
        (
            (RAMP, np.stack([RAMP, RAMP])),
            (SPOT, np.stack([SPOT, SPOT])),
            r"got \[2, 3\] dimensions; cut",
        ),
    ],
)
def test_a_support_that_no_system_could_use_is_refused_with_the_way_out(images, masks, message):
    with pytest.raises(ValueError, match=message):
        Support(images, masks)


def test_one_array_instead_of_a_tuple_is_refused_before_its_rows_become_images():
    given = object.__new__(Support)  # the type check of the tests would stop `Support(stack, ...)`
    vars(given).update(images=np.stack([RAMP, RAMP]), masks=np.stack([SPOT, SPOT]))
    with pytest.raises(ValueError, match=r"got one ndarray; write \(array,\) for one pair"):
        given.__post_init__()


def test_a_repeated_kind_comes_as_a_tuple_in_order_and_the_others_stay_alone():
    liver, spleen = support(name="liver"), support(name="spleen")
    found = answerable(liver & CLICKS & spleen, Clicks, system="Tyche", repeated=(Support,))
    assert found == {Support: (liver, spleen), Clicks: CLICKS}
    assert answerable(liver, Support, system="Tyche", repeated=(Support,)) == {Support: (liver,)}
    assert answerable(CLICKS, Clicks, system="Tyche", repeated=(Support,)) == {Clicks: CLICKS}


def test_a_system_that_takes_one_support_gets_it_alone_and_refuses_a_second():
    liver, spleen = support(name="liver"), support(name="spleen")
    assert answerable(liver, Support, system="Tyche") == {Support: liver}
    with pytest.raises(ValueError, match="Support twice; merge them"):
        answerable(liver & spleen, Support, system="Tyche")


def test_two_supports_of_one_name_are_refused():
    with pytest.raises(ValueError, match="got 'liver' more than once; put the pairs"):
        answerable(
            support(name="liver") & support(name="spleen") & support(name="liver"),
            system="Tyche",
            repeated=(Support,),
        )


@pytest.mark.parametrize("edges", [((1.0, 2.0),), ((1.0, 2.0), (1.0,)), ((1.0, 2.0), (0.0, 1.0))])
def test_a_support_has_one_positive_spacing_for_each_axis_of_each_image(edges):
    fine = Support((RAMP, RAMP), (SPOT, SPOT), spacings_mm=((1.0, 2.0), (3.0, 0.5)))
    assert fine.spacings_mm == ((1.0, 2.0), (3.0, 0.5))
    with pytest.raises(ValueError, match="one positive length in mm for each axis of 2 images"):
        Support((RAMP, RAMP), (SPOT, SPOT), spacings_mm=edges)


def test_clicks_are_kept_as_plain_integers_and_booleans_whatever_they_came_as():
    given = unchecked(
        Clicks, points_vox=np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), positive=np.array([1, 0])
    )
    assert given == Clicks(((1, 2, 3), (4, 5, 6)), (True, False))
    assert {type(at) for point in given.points_vox for at in point} == {int}
    assert [type(sign) for sign in given.positive] == [bool, bool]


@pytest.mark.parametrize(
    ("points", "positive", "message"),
    [
        ((), (), "1 to 1000 points, got 0; click somewhere"),
        (((1, 1, 1),) * 1001, (True,) * 1001, "got 1001; draw a scribble or give a mask"),
        (((1, 1, 1),), (), "got 1 points and 0 signs"),
        (((1, 1, 1),), (True, True), "got 1 points and 2 signs"),
        (((1, 1),), (True,), r"point 0 of the clicks is 3 whole numbers .*, got \(1, 1\)"),
        (((1, 1, 1), (1, 2, 2.5)), (True, True), "point 1 of the clicks is 3 whole numbers"),
        (((1, 1, float("nan")),), (True,), "leave out what is NaN or infinite"),
        (((1, float("inf"), 1),), (True,), "leave out what is NaN or infinite"),
        ((3, 4, 5), (True,) * 3, "point 0 of the clicks .* got 3"),
        (("abc",), (True,), "point 0 of the clicks .* got 'abc'"),
        (((1, 1, 1),), (-1,), "a sign is True or False, got -1"),
        (
            ((1, 1, 1), (2, 2, 2), (1, 1, 1)),
            (True, True, False),
            r"got \(1, 1, 1\) clicked positive",
        ),
    ],
)
def test_clicks_that_nobody_could_follow_are_refused_with_the_way_out(points, positive, message):
    with pytest.raises(ValueError, match=message):
        unchecked(Clicks, points_vox=points, positive=positive)


def test_the_same_click_twice_is_no_contradiction():
    assert len(Clicks(((1, 1, 1), (1, 1, 1)), (False, False)).points_vox) == 2


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ((), "at least one box, got 0"),
        (((0, 0, 0, 4, 4),), "box 0 is 6 whole numbers"),
        (((0, 0, 0, 4, 4, float("nan")),), "box 0 is 6 whole numbers"),
        (((0, 0, 0, 4, 4, 4), (0, 5, 0, 4, 5, 4)), "for box 1; the end is not included"),
        (((3, 0, 0, 1, 4, 4),), r"ends after it starts along each axis, got \(3, 0, 0, 1, 4, 4\)"),
    ],
)
def test_boxes_that_hold_nothing_are_refused_with_the_way_out(boxes, message):
    with pytest.raises(ValueError, match=message):
        unchecked(Boxes, boxes_vox=boxes)


@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        (STROKE & False, None, "at least one stroke, got none"),
        (STROKE & False, STROKE & False, "at least one stroke, got none"),
        (STROKE[0], None, r"a scribble inside is a volume \(H, W, D\), got shape \(5, 6\)"),
        (STROKE * 3, None, "a scribble inside holds True and False"),
        (STROKE, np.full(STROKE.shape, np.nan), "a scribble outside holds True and False"),
        (STROKE, STROKE[1:], r"share a grid, got \(4, 5, 6\) and \(3, 5, 6\)"),
        (STROKE, STROKE, "got 2 voxels that are both; erase"),
    ],
)
def test_scribbles_that_contradict_themselves_are_refused_with_the_way_out(
    inside, outside, message
):
    with pytest.raises(ValueError, match=message):
        Scribbles(inside, outside)


def test_strokes_and_masks_of_zeros_and_ones_are_kept_as_bool():
    drawn = Scribbles(STROKE.astype(np.uint8), (~STROKE).astype(np.float32))
    assert drawn.inside.dtype == drawn.outside.dtype == bool
    assert Scribbles(STROKE & False, STROKE).outside is not None
    np.testing.assert_array_equal(PreviousMask(STROKE.astype(np.int64)).mask, STROKE)
    assert not PreviousMask(STROKE & False).mask.any()
    with pytest.raises(ValueError, match="a previous mask holds True and False"):
        PreviousMask(STROKE * 0.5)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_refused(text):
    with pytest.raises(ValueError, match="a text names a structure, got"):
        Text(text)


@settings(deadline=None, max_examples=50)
@given(point=st.tuples(*[st.integers(-3, 9)] * 3), shape=st.tuples(*[st.integers(1, 6)] * 3))
def test_a_click_is_inside_where_every_index_is_an_index_of_the_volume(point, shape):
    click = Clicks((point,), (True,))
    if all(at in range(side) for at, side in zip(point, shape, strict=True)):
        check_inside(click, shape)
    else:
        with pytest.raises(
            ValueError, match=r"a click lies in the volume, 0 to .* from 0, not mill"
        ):
            check_inside(click, shape)


def test_parts_that_reach_out_of_the_volume_are_refused():
    shape = (4, 5, 6)
    for part in (Boxes(((0, 0, 0, 4, 5, 6),)), Scribbles(STROKE), PreviousMask(STROKE), Text("a")):
        check_inside(part, shape)
    with pytest.raises(ValueError, match=r"a box .* 0 to \(3, 4, 5\), got \(3, 4, 6\)"):
        check_inside(Boxes(((0, 0, 0, 4, 5, 7),)), shape)
    with pytest.raises(ValueError, match=r"a box .* got \(-1, 0, 0\)"):
        check_inside(Boxes(((-1, 0, 0, 4, 5, 6),)), shape)
    for part in (Scribbles(STROKE), PreviousMask(STROKE)):
        with pytest.raises(ValueError, match=r"own grid \(6, 5, 4\), got \(4, 5, 6\)"):
            check_inside(part, shape[::-1])
