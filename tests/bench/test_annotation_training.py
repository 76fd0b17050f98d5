import numpy as np
import pytest
import torch

from fmtutor.bench import annotation_training as teaching
from fmtutor.engine.metrics import dice
from tests.bench.annotators import bright_ball

TINY = teaching.Training(
    patch=(16, 16, 16), channels=(4, 8), steps=40, structures=("liver", "spleen"), lr=1e-2
)
CASES = [bright_ball(number) for number in range(3)]


@pytest.fixture(scope="module")
def network():
    ready = [teaching.labelled(case, teaching.true_masks(case, ("liver",)), TINY) for case in CASES]
    return teaching.trained_on(ready, TINY, seed=0)


def test_masks_become_labels_at_the_training_spacing():
    case = CASES[0]
    masks = {"liver": case.mask("liver"), "spleen": np.ones(case.image.shape, bool)}
    found = teaching.labelled(case, masks, TINY)
    assert found.spacing_mm == (6.0, 6.0, 6.0)
    assert found.volume_ml("liver") == pytest.approx(case.volume_ml("liver"), rel=0.1)
    assert (found.labels > 0).all()  # the spleen has what the liver, which comes first, leaves
    assert found.known == {"liver", "spleen"}


def test_a_structure_without_a_mask_is_absent():
    found = teaching.labelled(CASES[0], {"liver": CASES[0].mask("liver")}, TINY)
    assert not found.mask("spleen").any()


@pytest.mark.parametrize("how", ["grown", "rough"])
def test_masks_made_to_order_have_the_dice_that_is_wanted(how):
    truths = {"liver": CASES[0].mask("liver")}
    given = {"liver": np.roll(truths["liver"], 3, axis=0)}
    made = teaching.made_to_order(given, truths, CASES[0], how)["liver"]
    assert dice(made, truths["liver"]) == pytest.approx(
        dice(given["liver"], truths["liver"]), abs=0.06
    )
    assert (made.sum() > 1.2 * truths["liver"].sum()) == (how == "grown")


def test_there_are_two_kinds_of_masks_to_order():
    with pytest.raises(ValueError, match="choose one"):
        teaching.made_to_order({}, {}, CASES[0], "wrong")


def test_the_small_network_learns_its_masks_and_is_scored(network):
    rows = teaching.scored(network, [bright_ball(9)], TINY)
    assert [row["structure"] for row in rows] == ["liver"]
    assert rows[0]["dice"] > 0.6


def test_equal_seeds_make_equal_networks(network):
    ready = [teaching.labelled(case, teaching.true_masks(case, ("liver",)), TINY) for case in CASES]
    again = teaching.trained_on(ready, TINY, seed=0)
    pairs = zip(network.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_strange_volume_makes_a_network_unsure(network):
    grey = CASES[0].with_image(np.full_like(CASES[0].image, 40.0))
    assert teaching.entropy(network, grey) > teaching.entropy(network, CASES[0])


def test_thumbnails_are_alike_for_like_volumes():
    one, same, other = (teaching.thumbnail(c) for c in (*CASES[:2], bright_ball(0, inverted=True)))
    assert one @ same > 0.5 > one @ other
