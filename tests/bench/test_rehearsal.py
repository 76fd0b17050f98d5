"""What a rehearsal cuts, and that it never passes for the table."""

from dataclasses import replace

import pytest

from fmtutor.bench.few_shot_grid import PAPER
from fmtutor.bench.few_shot_sweep import config_of
from fmtutor.bench.rehearsal import Cut, told
from fmtutor.paradigms.partial import dodnet, fseft

SMALL = Cut(steps=2, width=12, patch=(64, 32, 32))


def test_nothing_is_cut_unless_it_is_asked_for():
    assert SMALL
    assert not Cut()
    assert Cut().setting(PAPER) == PAPER
    assert Cut().config(fseft.Config.paper()) == fseft.Config.paper()
    assert config_of("fseft-known", "paper", Cut()) == config_of("fseft-known", "paper")


def test_a_setting_loses_steps_and_patch_and_nothing_else():
    cut = SMALL.setting(PAPER)
    assert set(cut.steps.values()) == {2}
    assert set(cut.patch.values()) == {(64, 32, 32)}
    assert replace(cut, steps=PAPER.steps, patch=PAPER.patch) == PAPER


def test_a_narrower_network_keeps_the_ratios_of_its_levels():
    assert SMALL.config(fseft.Config.paper()).channels == (12,)
    assert Cut(width=4).config(dodnet.Config.paper()).channels == (4, 8, 16, 32, 32)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"steps": 0}, "--steps must be at least 1, got 0"),
        ({"width": -1}, "--width must be at least 1"),
        ({"patch": (32, 32, 32)}, "take 64 32 32"),
        ({"patch": (64, 48, 32)}, r"multiples of \(64, 32, 32\)"),
    ],
)
def test_sizes_that_no_network_takes_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        Cut(**sizes)


def test_a_folder_of_a_rehearsal_is_bound_to_the_cut_and_says_what_it_is():
    bound = config_of("fseft-known", "paper", SMALL)
    text = told(bound, "fseft-known", "paper")
    assert text.startswith("**A rehearsal, no result of the paper setting**: ")
    assert "steps {'head': 2, 'inside': 2, 'decoder': 2} in place of" in text
    assert "patch" in text
    assert told(config_of("fseft-known", "paper"), "fseft-known", "paper") == ""
    assert told({}, "fseft-known", "paper") == ""
