import numpy as np
import pytest

from fmtutor.core.geometry import Grid
from fmtutor.engine.inference import Prediction
from fmtutor.paradigms.partial.votes import channels_named, vote, voters_of

CLASSES = ("a/liver", "a/spleen", "b/liver")


def test_a_full_name_is_one_channel_and_a_bare_one_all_of_its_name() -> None:
    assert channels_named(CLASSES, "b/liver") == [2]
    assert channels_named(CLASSES, "liver") == [0, 2]


def test_no_names_mean_every_channel() -> None:
    assert voters_of(CLASSES, ()) == {name: [name] for name in CLASSES}


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"unknown class 'kidney'.*a/liver"):
        channels_named(CLASSES, "kidney")


def test_a_vote_is_the_mean_probability() -> None:
    grid = Grid((1, 1, 1), np.eye(4))
    scores = np.array([0.2, 0.9, 0.6], dtype=np.float32).reshape(3, 1, 1, 1)
    every = Prediction(names=CLASSES, scores=scores, grid=grid, working=grid)
    both = vote(every, {"liver": ["a/liver", "b/liver"], "a/spleen": ["a/spleen"]})
    assert both.names == ("liver", "a/spleen")
    assert both.scores.ravel() == pytest.approx([0.4, 0.9])
