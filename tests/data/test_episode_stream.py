from dataclasses import replace

import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.episode_stream import EpisodeConfig, EpisodeStream, fixed_episodes
from fmtutor.data.episodes import Episodes, stacked
from fmtutor.data.task_augmentation import InTaskAugmentation, TaskAugmentation
from fmtutor.data.task_bank import bank_of
from tests.data.test_task_bank import source

PLAIN = EpisodeConfig(
    batch=3, support=4, shapes=0.0, super_pixels=0.0, absent=0.0,
    in_task=InTaskAugmentation.off(), task=TaskAugmentation.off(),
)  # fmt: skip


@pytest.fixture(scope="module")
def bank():
    return bank_of([source("a", 6)], size=32)


def test_a_batch_is_a_function_of_its_position_and_seed(bank):
    stream = EpisodeStream(bank, EpisodeConfig(batch=2, support=3))
    first, again = stream(7), stream(7)
    assert torch.equal(first.query, again.query)
    assert torch.equal(first.support_masks, again.support_masks)
    assert not torch.equal(first.query, EpisodeStream(bank, stream.config, seed=1)(7).query)


def test_every_support_size_up_to_the_largest_is_drawn(bank):
    stream = EpisodeStream(bank, PLAIN)
    assert {stream(i).supports for i in range(60)} == {1, 2, 3, 4}


def test_without_augmentation_pairs_come_from_the_bank(bank):
    episode = EpisodeStream(bank, PLAIN)(0)
    stored = {image.tobytes() for image in bank.images}
    for image in (*episode.query[:, 0], *episode.support_images.flatten(0, 2)):
        assert (image * 255).round().byte().numpy().tobytes() in stored


def test_the_query_is_not_among_its_support(bank):
    for position in range(20):
        e = EpisodeStream(bank, PLAIN)(position)
        same = (e.support_images == e.query[:, None]).flatten(2).all(2)
        assert not bool(same.any())


@pytest.mark.parametrize("kind", ["shapes", "super_pixels"])
def test_synthetic_tasks_are_named(bank, kind):
    stream = EpisodeStream(bank, replace(PLAIN, **{kind: 1.0}))
    names = set(stream(0).names)
    assert names == {"shapes" if kind == "shapes" else "super-pixel"}


def test_an_ambiguous_support_shows_two_readings_of_one_region(bank):
    task = next(t for t in bank.tasks if t.region == "liver" and t.axis == "axial")
    rows = bank.rows[task][:12]
    _, masks = bank.pairs(task, rows)
    read = EpisodeStream(bank, PLAIN).two_readings(task, rows, masks, rng_of(0))
    grown = (read > masks).flatten(1).any(1)
    assert 0 < int(grown.sum()) < len(rows)
    assert bool((read >= masks).all())


def test_scoring_episodes_are_the_same_for_everyone(bank):
    asked = [fixed_episodes(bank, bank.tasks[:2], supports=4, queries=2) for _ in range(2)]
    assert len(asked[0]) == 4
    assert all(torch.equal(a.query, b.query) for a, b in zip(*asked, strict=True))


def test_episodes_are_cut_joined_and_exchanged(bank):
    a, b = fixed_episodes(bank, bank.tasks[:2], supports=4, queries=1)
    both = stacked([a, b])
    assert both.names == (*a.names, *b.names)
    assert both.first(2).supports == 2
    exchanged = both.with_support_of([1, 0])
    assert torch.equal(exchanged.support_images[0], b.support_images[0])
    assert torch.equal(exchanged.query, both.query)
    assert len(both.part(slice(0, 1)).query) == 1
    with pytest.raises(ValueError, match="supports must be 1 to 4"):
        both.first(5)
    with pytest.raises(ValueError, match="at least one episode"):
        stacked([])
    with pytest.raises(ValueError, match="equal shapes"):
        stacked([a, b.first(2)])


def test_a_batch_moves_between_devices_whole(bank):
    moved = fixed_episodes(bank, bank.tasks[:1], supports=2, queries=1)[0].to("cpu")
    assert isinstance(moved, Episodes)
    assert np.array_equal(moved.known.numpy(), [[True]])
