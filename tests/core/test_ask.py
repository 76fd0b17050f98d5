import numpy as np
import pytest

from fmtutor.core.ask import Ask, Boxes, Classes, Clicks, Scribbles, Text, answerable, as_ask

CLICKS = Clicks(points_vox=((1, 2, 3),), positive=(True,))
BOX = Boxes(boxes_vox=((0, 0, 0, 4, 4, 4),))


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
    one, two = (Scribbles(inside=np.zeros((2, 2, 2), bool)) for _ in range(2))
    assert one == one
    assert one != two
