"""Views of unlabelled crops, on small images whose voxels all differ."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.pretext import (
    PretextBatch,
    PretextConfig,
    PretextStream,
    ViewPlan,
    cut_out,
    draw_boxes,
    draw_view,
    turned,
)

SMALL = PretextConfig(size=(16, 16, 12), batch=3, spacing_mm=(1.0, 2.0, 3.0))
WHOLE = replace(SMALL, noise=0.0, paste=0.0)


def phantom(number: int = 0, shape: tuple[int, int, int] = (24, 20, 16), **changes) -> Case:
    image = rng_of("pretext phantom", number).uniform(-150, 240, shape).astype(np.float32)
    case = Case(name=f"case-{number}", image=image, affine=np.diag([1.0, 2.0, 3.0, 1.0]))
    return replace(case, **changes)


def stream(config: PretextConfig = SMALL, seed: int = 0, cases=None) -> PretextStream:
    return PretextStream([cases or [phantom(0), phantom(1)]], config, seed=seed)


def same(one: PretextBatch, other: PretextBatch) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


def test_a_batch_is_a_pure_function_of_its_step_so_that_training_resumes():
    one, fresh = stream(), stream()
    seen = [one(step) for step in range(4)]
    assert same(fresh(3), seen[3])
    assert same(one(1), seen[1])
    assert not same(seen[0], seen[1])
    assert not same(stream(seed=1)(0), seen[0])


def test_a_batch_has_two_views_of_each_crop_in_0_to_1():
    batch = stream()(0)
    assert batch.views.shape == batch.target.shape == (6, 1, 16, 16, 12)
    assert batch.views.dtype == batch.target.dtype == torch.float32
    assert batch.rotation.shape == (6,)
    for image in (batch.views, batch.target):
        assert 0 <= image.min() < image.max() <= 1
    assert batch.to("cpu").rotation.equal(batch.rotation)


def test_view_i_and_view_i_plus_b_show_the_same_crop_turned_as_said():
    patches = stream()
    for step in range(4):
        batch = patches(step)
        for row, (target, turns) in enumerate(zip(batch.target, batch.rotation, strict=True)):
            crop = torch.from_numpy(patches.crop(step, row % 3))
            assert torch.equal(torch.rot90(crop, int(turns), (0, 1)), target[0])


def test_all_four_turns_are_equally_likely():
    turns = torch.cat([stream(WHOLE)(step).rotation for step in range(60)])
    counts = torch.bincount(turns, minlength=4)
    assert counts.sum() == 360
    assert (counts > 60).all()


@pytest.mark.parametrize(("plane", "still"), [("HW", 2), ("HD", 1), ("WD", 0)])
def test_a_turn_stays_in_its_plane(plane, still):
    config = PretextConfig(size=(12, 12, 12), plane=plane)
    line = np.arange(12, dtype=np.float32).reshape([-1 if a == still else 1 for a in range(3)])
    crop = np.broadcast_to(line, config.size)
    assert np.array_equal(turned(crop, 1, config.axes), crop)
    first = np.zeros(config.size, np.float32)
    first[(0,) * 3] = 1
    corner = np.argwhere(turned(first, 1, config.axes))[0]
    assert corner[still] == 0
    assert corner.sum() == 11


def test_nothing_is_cut_out_where_nothing_may_be():
    batch = stream(WHOLE)(0)
    assert torch.equal(batch.views, batch.target)


def test_the_share_that_is_cut_out_is_spread_from_none_to_the_largest():
    config = PretextConfig(size=(40, 40, 40), noise=0.3)
    shares = []
    for number in range(60):
        hit = np.zeros(config.size, bool)
        for box in draw_boxes(0.3, config, rng_of("boxes", number)):
            sides = [edge.stop - edge.start for edge in box]
            assert min(sides) >= 1
            assert max(sides) <= 10
            hit[box] = True
        shares.append(hit.mean())
    assert 0.08 < np.mean(shares) < 0.2
    assert min(shares) < 0.05
    assert 0.2 < max(shares) < 0.32


def test_noise_fills_its_boxes_and_then_the_other_crop_fills_its_own():
    image, other = np.full((8, 8, 8), 0.5, np.float32), np.full((8, 8, 8), 2.0, np.float32)
    box = (slice(0, 4), slice(0, 4), slice(0, 4))
    inner = (slice(2, 4), slice(0, 4), slice(0, 4))
    plan = ViewPlan(turns=0, noise=(box,), noise_seed=3, other=1, paste=(inner,))
    view = cut_out(image, plan, other)
    assert np.array_equal(view, cut_out(image, plan, other))
    assert (image == 0.5).all()
    noise = view[:2, :4, :4]
    assert 0 <= noise.min() < 0.4
    assert 0.6 < noise.max() <= 1
    assert (view[inner] == 2).all()
    assert (view[4:] == 0.5).all()


def test_a_crop_is_never_pasted_into_itself():
    for number in range(40):
        plan = draw_view(1, SMALL, rng_of("plan", number))
        assert bool(plan.paste) <= (plan.other != 1)
    alone = replace(SMALL, batch=1)
    assert not draw_view(0, alone, rng_of("alone")).paste


def test_what_is_pasted_is_the_other_crop_of_the_batch_at_the_same_place():
    config = replace(SMALL, batch=2, noise=0.0, paste=0.6)
    patches = stream(config)
    for step in range(6):
        batch = patches(step)
        for row in range(4):
            other = batch.target[row // 2 * 2 + (row + 1) % 2]
            own, seen = batch.target[row], batch.views[row]
            assert bool(((seen == own) | (seen == other)).all())


def test_labels_are_never_read():
    nonsense = {"labels": np.full((3, 3), 7), "table": {7: "gluteus_maximus_left"}}
    with_labels = [phantom(0, **nonsense), phantom(1, **nonsense)]
    assert same(stream()(0), stream(cases=with_labels)(0))


def test_the_window_is_the_configurations():
    flat = phantom(image=np.full((24, 20, 16), 100.0, np.float32))
    wide = replace(WHOLE, window_hu=(-1000.0, 1000.0))
    assert stream(wide, cases=[flat])(0).target.unique().tolist() == [pytest.approx(0.55, 1e-3)]
    assert stream(WHOLE, cases=[flat])(0).target.unique().tolist() == [
        pytest.approx(275 / 425, 1e-3)
    ]


def test_images_are_brought_to_the_spacing_once():
    asked = []

    class Counted:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            asked.append(index)
            return phantom()

    patches = PretextStream([Counted()], replace(SMALL, spacing_mm=(2.0, 2.0, 2.0)))
    assert patches._load(0, 0).shape == (12, 20, 24)
    patches(0)
    assert asked == [0]


def test_air_around_the_body_is_cut_away_and_what_is_too_small_is_padded_with_air():
    image = np.full((40, 40, 40), -1000.0, np.float32)
    image[10:20, 8:38, 4:10] = 100.0
    body = phantom(image=image)
    batch = stream(replace(WHOLE, batch=1), cases=[body])(0)
    inside = batch.target[0, 0] > 0
    extent = [int(inside.any(a).any(b - 1).sum()) for a, b in ((1, 2), (0, 2), (0, 1))]
    assert sorted(extent[:2]) == [10, 16]
    assert extent[2] == 6
    patches = stream(WHOLE, cases=[phantom(image=np.full((4, 4, 4), -1000.0, np.float32))])
    assert not patches(0).target.any()


def test_sources_are_drawn_as_their_weights_say():
    bright, dark = ([phantom(image=np.full((20, 20, 20), hu, np.float32))] for hu in (250.0, -100))
    patches = PretextStream([bright, dark], WHOLE, weights=[3.0, 1.0])
    shown = [float(patches.crop(step, 0).max()) == 1 for step in range(80)]
    assert 48 <= sum(shown) <= 72


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plane": "DW"}, "plane must be"),
        ({"plane": "WD"}, "square there"),
        ({"window_hu": (250.0, -175.0)}, "must rise"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_streams_without_cases_and_images_without_hu_are_refused():
    with pytest.raises(ValueError, match="needs sources with cases"):
        PretextStream([[]], SMALL)
    with pytest.raises(ValueError, match="one weight each"):
        PretextStream([[phantom()]], SMALL, weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="must be CT"):
        stream(cases=[phantom(modality="MR")])(0)
