"""Volumes in context: at their place, one structure or several, alone or with their neighbours."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from fmtutor.core.ask import Support
from fmtutor.core.geometry import Grid, same_grid
from fmtutor.core.seeds import rng
from fmtutor.data.cases import Case
from fmtutor.data.transforms import HU_WINDOW, normalise
from fmtutor.engine.in_context_volumes import segment_volume, sureness
from fmtutor.engine.metrics import dice
from tests.engine.example_network import LikeShown, disc

NATIVE = Grid(
    (40, 30, 20),
    np.array([[-1.0, 0, 0, 50], [0, 0, 1.5, 3], [0, -1.2, 0, 7], [0, 0, 0, 1]]),
)
LOW, HIGH = HU_WINDOW


def hu(brightness: float) -> float:
    return LOW + brightness * (HIGH - LOW)


@pytest.fixture
def case() -> Case:
    """Balls "a" (brightness 0.6) and "b" (0.9) of 8 mm, anisotropic voxels, stored as LIA."""
    ras = NATIVE.to_ras()
    axes = [np.arange(n) * mm for n, mm in zip(ras.shape, ras.spacing_mm, strict=True)]
    h, w, d = np.meshgrid(*axes, indexing="ij")
    labels = np.zeros(ras.shape, np.uint8)
    labels[(h - 10) ** 2 + (w - 14) ** 2 + (d - 16) ** 2 < 64] = 1
    labels[(h - 29) ** 2 + (w - 16) ** 2 + (d - 22) ** 2 < 64] = 2
    return Case(
        name="balls",
        image=np.choose(labels, (hu(0.3), hu(0.6), hu(0.9))).astype(np.float32),
        affine=ras.affine,
        labels=labels,
        table={1: "a", 2: "b"},
        native=NATIVE,
    )


def shown(name: str, brightness: float, count: int = 1, dims: int = 2) -> Support:
    pairs = [disc(24, brightness, radius=4.0 + i, dims=dims) for i in range(count)]
    images, masks = zip(*pairs, strict=True)
    return Support(images, masks, name)


@pytest.mark.parametrize(
    ("dims", "axis", "examples"),
    [(2, 0, 2), (2, 1, 2), (2, 2, 2), (2, None, 3), (2, 1, 3), (3, None, 3)],
)
def test_what_the_examples_show_is_found_at_its_place_on_the_grid_of_the_case(
    case, dims, axis, examples
):
    prediction = segment_volume(
        LikeShown(dims), case, [shown("a", 0.6, dims=examples)], size=48, axis=axis
    )
    assert prediction.names == ("a",)
    assert not prediction.exclusive
    assert same_grid(prediction.grid, case.grid)
    assert prediction.native is NATIVE
    assert dice(prediction.mask("a"), case.mask("a")) > 0.9
    assert not (prediction.mask("a") & case.mask("b")).any()


def test_without_an_axis_the_slices_are_axial_and_keep_their_number(case):
    model = LikeShown()
    prediction = segment_volume(model, case, [shown("a", 0.6)], size=32)
    assert sum(len(query) for query, _, _ in model.seen) == case.image.shape[2]
    assert prediction.working.shape == (32, round(32 * 30 / 40), case.image.shape[2])
    for corner in (0, -1):  # both grids end at the same walls
        ends = [
            grid.affine[:3, 3] + grid.affine[:3, :3] @ (np.array(grid.shape) * -corner - 0.5)
            for grid in (prediction.working, case.grid)
        ]
        np.testing.assert_allclose(*ends, atol=1e-9)


def test_the_masks_of_several_structures_compete_for_what_lies_between(case):
    case.image[case.image == hu(0.9)] = hu(0.8)
    model, both = LikeShown(tolerance=0.25), [shown("a", 0.6), shown("b", 0.9)]
    alone = [segment_volume(model, case, [part], size=40).mask(part.name) for part in both]
    inner = case.mask("b") & alone[0] & alone[1]
    assert inner.sum() > 0.8 * case.mask("b").sum(), "each of them alone claims b"
    joined = segment_volume(model, case, both, size=40)
    assert joined.classes == ("a", "b")
    assert joined.exclusive
    core = ndimage.binary_erosion(inner)
    assert core.any()
    assert joined.mask("b")[core].all(), "b is nearer"
    assert not (joined.mask("a") & joined.mask("b")).any()
    assert dice(joined.mask("a"), case.mask("a")) > 0.85


def slices_that_count(count: int = 9, surest: int = 5) -> Case:
    """Slice i is of brightness 0.5 + i / 100 in its corner; "a" is largest in one slice."""
    image = np.full((16, 16, count), hu(0.3), np.float32)
    image[4:8, 4:8] = hu(0.6)
    image[4:12, 4:12, surest] = hu(0.6)
    image[0, 0] = [hu(0.9 + i / 100) for i in range(count)]
    return Case(name="count", image=image, affine=np.eye(4))


def number(image: torch.Tensor) -> int:
    """Which slice an image is; -1 for an example."""
    return round(float(image[0, 0, 0]) * 100) - 90 if image[0, 0, 0] > 0.5 else -1


def test_the_sweep_goes_outwards_from_the_surest_slice_with_the_nearest_finished_ones():
    model = LikeShown()
    prediction = segment_volume(
        model, slices_that_count(), [shown("a", 0.6, count=2)], size=16, neighbours=2, batch=9
    )
    assert [number(image) for image in model.seen[0][0]] == list(range(9))
    sweeps = [
        (number(query[0]), [number(image) for image in images[0]])
        for query, images, _ in model.seen[1:]
    ]
    assert sweeps == [
        (6, [-1, -1, 5]),
        (7, [-1, -1, 6, 5]),
        (8, [-1, -1, 7, 6]),
        (4, [-1, -1, 5, 6]),
        (3, [-1, -1, 4, 5]),
        (2, [-1, -1, 3, 4]),
        (1, [-1, -1, 2, 3]),
        (0, [-1, -1, 1, 2]),
    ]
    masks = model.seen[-1][2]
    answer = torch.from_numpy(prediction.mask("a")[..., 1])
    assert torch.equal(masks[0, 2, 0] > 0.5, answer), "with the masks that were answered"
    assert answer[4:8, 4:8].all()


def test_where_nothing_is_found_there_is_no_sweep():
    model = LikeShown(tolerance=0.001)
    segment_volume(model, slices_that_count(), [shown("a", 0.45)], size=16, neighbours=2)
    assert model.sizes == [1, 1], "two batches of first answers"


def test_sureness_counts_what_exceeds_one_half():
    maps = torch.tensor([[[0.5, 0.4]], [[0.9, 0.1]], [[0.75, 0.75]], [[1.0, 1.0]]])
    torch.testing.assert_close(sureness(maps), torch.tensor([0.0, 0.8, 1.0, 2.0]))


def test_each_slice_sees_the_examples_that_are_most_like_it(case):
    image = normalise(case.image, "CT")
    support = Support((image,), (case.mask("a"),), "a", (case.spacing_mm,))
    model = LikeShown()
    axial = case.mask("a").any(axis=(0, 1))
    segment_volume(model, case, [support], size=40, support=1, select="nearest")
    own = [torch.equal(query[0], images[0, 0]) for query, images, _ in model.seen]
    assert len(own) == len(axial)
    assert own == axial.tolist(), "its own picture, where it is among the examples"


def test_members_are_averaged_over_the_supports_that_the_generator_draws(case):
    pool = [shown("a", brightness).images[0] for brightness in (0.5, 0.6, 0.7)]
    support = Support(tuple(pool), shown("a", 0.6).masks * 3, "a")
    ask = {"size": 24, "support": 1, "select": "random"}
    three = segment_volume(LikeShown(), case, [support], members=3, generator=rng("members"), **ask)
    draws = rng("members")
    alone = [segment_volume(LikeShown(), case, [support], generator=draws, **ask) for _ in range(3)]
    mean = np.mean([one.scores.astype(float) for one in alone], axis=0)
    np.testing.assert_allclose(three.scores, mean, atol=2e-3)
    assert any(not np.array_equal(alone[0].scores, one.scores) for one in alone[1:])


def test_asks_that_fit_nothing_are_refused(case):
    support = shown("a", 0.6)
    with pytest.raises(ValueError, match=r"UniverSeg takes a support for each .*got \[\]"):
        segment_volume(LikeShown(), case, [], size=16, system="UniverSeg")
    with pytest.raises(ValueError, match=r"got \['a', 'a'\]; name them apart"):
        segment_volume(LikeShown(), case, [support, support], size=16)
    with pytest.raises(ValueError, match="none called 'background'"):
        segment_volume(LikeShown(), case, [shown("background", 0.6)], size=16)
    with pytest.raises(ValueError, match="is 3D and sees whole volumes, got axis 1"):
        segment_volume(LikeShown(3), case, [shown("a", 0.6, dims=3)], size=16, axis=1)
    with pytest.raises(ValueError, match="3 members and select='diverse'"):
        segment_volume(LikeShown(), case, [support], size=16, members=3)
    with pytest.raises(ValueError, match="smaller than its pool of 1 examples, got support=16"):
        segment_volume(
            LikeShown(), case, [support], size=16, members=2, select="random", generator=rng(0)
        )
    with pytest.raises(ValueError, match="neighbours must be 0 or more, got -1"):
        segment_volume(LikeShown(), case, [support], size=16, neighbours=-1)
