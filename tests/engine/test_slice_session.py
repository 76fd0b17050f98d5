import numpy as np
import pytest

from fmtutor.core.ask import Boxes, Clicks
from fmtutor.data.cases import Case
from fmtutor.engine.session import replay
from fmtutor.engine.slice_session import segment_slices, slice_session
from tests.engine.promptable_network import NearAndAlike


def _network(**options):
    return NearAndAlike(reach=12.0, **{"size": 32, **options})


@pytest.fixture
def case():
    image = np.full((40, 32, 9), -100.0, np.float32)
    image[10:20, 8:16, 2:7] = 150.0
    return Case(name="block", image=image, affine=np.diag([-1.0, 1.0, 4.0, 1.0]))


def test_a_click_acts_on_its_slice_alone(case):
    session = slice_session(network := _network(), case)
    step = session.click((15, 12, 4))
    assert step.box is not None
    assert step.box[2] == slice(4, 5)
    mask, truth = session.mask()[..., 4], case.image[..., 4] > 0
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9
    assert network.embedded[0].shape == (1, 1, 32, 32)


def test_a_point_reaches_the_network_in_its_square(case):
    session = slice_session(network := _network(), case)
    session.click((0, 0, 4))
    session.click((39, 31, 4))
    points = network.decoded[-1][0].points[0].numpy()
    pixel = 40 / 32
    assert points[0] == pytest.approx(
        [(0.5 / pixel) - 0.5, (32 - 32 / pixel) / 2 + 0.5 / pixel - 0.5]
    )
    assert np.allclose(points[0] + points[1], 31)


def test_slices_are_embedded_once(case):
    session = slice_session(network := _network(), case)
    for voxel in [(15, 12, 4), (15, 12, 5), (14, 12, 4), (14, 12, 5)]:
        session.click(voxel)
    assert len(network.embedded) == 2
    assert network.decoded[2][0].mask is not None
    assert network.decoded[1][0].mask is None
    assert network.decoded[-1][0].points.shape == (1, 2, 2)


def test_a_box_is_asked_on_each_slice_that_it_passes(case):
    session = slice_session(network := _network(), case)
    session.box((10, 8, 3), (19, 15, 5))
    assert len(network.embedded) == 3
    assert session.mask().any((0, 1)).nonzero()[0].tolist() == [3, 4, 5]


# The network fills any box, so boxes go on to the volume's ends; a point looks at the image.
@pytest.mark.parametrize(("how", "first", "last"), [("box", 0, 8), ("point", 2, 6)])
def test_an_answer_is_carried_until_the_structure_ends(case, how, first, last):
    session = slice_session(_network(), case, propagate=how)
    step = session.click((15, 12, 4))
    truth, mask = case.image > 0, session.mask()
    assert mask.any((0, 1)).nonzero()[0].tolist() == list(range(first, last + 1))
    assert (mask & truth).sum() > 0.8 * truth.sum()
    assert "slices" in step.message
    assert len(session.prompts().clicks) == 1
    session.undo()
    assert not session.mask().any()


def test_strokes_act_on_the_slices_that_they_pass(case):
    session = slice_session(network := _network(), case)
    stroke = np.zeros(case.image.shape, bool)
    stroke[12:18, 12, 2] = stroke[12:18, 12, 6] = True
    session.scribble(stroke)
    assert len(network.embedded) == 2
    assert session.mask().any((0, 1)).nonzero()[0].tolist() == [2, 6]


def test_a_slice_session_replays(case):
    session = slice_session(_network(), case, propagate="point")
    session.click((15, 12, 4))
    session.click((12, 12, 3), positive=False)
    session.refine()
    again = replay(session.log, _network(), case)
    assert np.array_equal(again.mask(), session.mask())
    assert session.mask().any()


def test_clicks_and_boxes_are_answered_at_once(case):
    clicks = Clicks(((15, 12, 4), (15, 12, 5)), (True, True))
    found = segment_slices(_network(), case, clicks).mask("structure")
    assert found.any((0, 1)).nonzero()[0].tolist() == [4, 5]
    box = segment_slices(_network(), case, Boxes(((10, 8, 2, 20, 16, 4),))).mask("structure")
    assert box.any((0, 1)).nonzero()[0].tolist() == [2, 3]
