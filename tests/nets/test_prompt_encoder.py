"""Prompts as tokens and maps: places, signs, corners, masks."""

import pytest
import torch
from torch import Tensor

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Prompts, no_points
from fmtutor.nets.prompt_encoder import (
    DRAWN,
    IN_BOX,
    FourierPositions,
    PromptEncoder,
    drawn_prompts,
)

PATCH = 4
GRIDS = [(5, 3), (2, 4, 3)]


def clicks(*at: tuple[float, ...], labels: tuple[int, ...] = ()) -> Prompts:
    return Prompts(
        points=torch.tensor([at], dtype=torch.float32),
        labels=torch.tensor([labels or (1,) * len(at)]),
    )


def centre(cell: tuple[int, ...]) -> tuple[float, ...]:
    """Return the voxel coordinates of a token's middle."""
    return tuple(PATCH * index + (PATCH - 1) / 2 for index in cell)


def cells(grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [tuple(cell) for cell in torch.cartesian_prod(*map(torch.arange, grid)).tolist()]


@pytest.mark.parametrize("swap", [False, True], ids=["as stored", "x first"])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_click_in_a_tokens_middle_has_the_tokens_place(grid: tuple[int, ...], swap: bool) -> None:
    axes = tuple(reversed(range(len(grid)))) if swap else None
    place = FourierPositions(12, len(grid), point_axes=axes, dense_axes=axes)
    dense = place.dense(grid)
    voxels = [PATCH * size for size in grid]
    assert dense.shape == (1, 12, *grid)
    for cell in cells(grid):
        click = place.points(torch.tensor([[centre(cell)]]), voxels)[0, 0]
        assert torch.allclose(click, dense[(0, slice(None), *cell)], atol=1e-5)


def test_in_sam_med3d_a_click_has_the_place_of_the_token_with_two_axes_swapped() -> None:
    place = FourierPositions(
        12, 3, waves=("sin", "cos", "sin"), point_axes=(0, 1, 2), dense_axes=(1, 0, 2)
    )
    dense, voxels = place.dense((3, 3, 3)), (12, 12, 12)
    differs = 0
    for i, j, k in cells((3, 3, 3)):
        click = place.points(torch.tensor([[centre((i, j, k))]]), voxels)[0, 0]
        assert torch.allclose(click, dense[0, :, j, i, k], atol=1e-5)
        differs += not torch.allclose(click, dense[0, :, i, j, k], atol=1e-2)
    assert differs == 18  # all but those with i = j


def test_the_third_wave_repeats_the_first() -> None:
    place = FourierPositions(12, 3, waves=("sin", "cos", "sin"))
    sine, cosine, again = place.dense((2, 3, 4)).split(4, 1)
    assert torch.equal(sine, again)
    assert torch.allclose(sine**2 + cosine**2, torch.ones(()), atol=1e-6)


def test_features_that_the_waves_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 3 waves, got 16"):
        FourierPositions(16, 3, waves=("sin", "cos", "sin"))


def test_a_click_is_its_place_and_its_sign() -> None:
    encoder, image = PromptEncoder(8, 2), (20, 12)
    tokens = encoder.sparse(clicks((3, 4), (3, 4), labels=(1, 0)), image)
    place = encoder.place.points(torch.tensor([[(3.0, 4.0)]]), image)[0, 0]
    assert tokens.shape == (1, 3, 8)
    assert torch.allclose(tokens[0, 0], place + encoder.kinds[1][0])
    assert torch.allclose(tokens[0, 1], place + encoder.kinds[0][0])
    assert torch.equal(tokens[0, 2], encoder.no_point[0])


def test_an_empty_place_says_so_wherever_it_is() -> None:
    encoder = PromptEncoder(8, 2)
    rows = [encoder.sparse(clicks((3, 4), at, labels=(1, -1)), (20, 12)) for at in [(0, 0), (9, 7)]]
    assert torch.equal(rows[0], rows[1])
    assert torch.equal(rows[0][0, 1], encoder.no_point[0])


def test_a_box_is_its_two_corners_and_takes_the_empty_places_stead() -> None:
    encoder, image = PromptEncoder(8, 3), (20, 12, 8)
    corners = torch.tensor([[[1.0, 2, 3], [9, 8, 7]]])
    bare = no_points(1, 3)
    alone = encoder.sparse(Prompts(points=bare.points, labels=bare.labels, boxes=corners), image)
    both = encoder.sparse(
        Prompts(points=torch.ones(1, 1, 3), labels=torch.ones(1, 1).long(), boxes=corners), image
    )
    place = encoder.place.points(corners, image)[0]
    assert alone.shape == (1, 2, 8)
    assert torch.allclose(alone[0, 0], place[0] + encoder.kinds[2][0])
    assert torch.allclose(alone[0, 1], place[1] + encoder.kinds[3][0])
    assert both.shape == (1, 3, 8)
    assert torch.equal(both[:, 1:], alone)


def test_a_box_is_refused_where_there_are_no_vectors_for_corners() -> None:
    encoder, bare = PromptEncoder(9, 3, boxes=False, waves=("sin", "cos", "sin")), no_points(1, 3)
    asked = Prompts(points=bare.points, labels=bare.labels, boxes=torch.ones(1, 2, 3))
    with pytest.raises(ValueError, match="no embedding for boxes"):
        encoder.sparse(asked, (8, 8, 8))
    assert len(encoder.kinds) == 2


def test_a_question_without_clicks_and_box_has_no_token() -> None:
    assert PromptEncoder(8, 2).sparse(no_points(3, 2), (20, 12)).shape == (3, 0, 8)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_mask_reaches_the_token_it_lies_on(grid: tuple[int, ...]) -> None:
    encoder = PromptEncoder(8, len(grid))
    bare = no_points(1, len(grid))
    mask = torch.zeros(1, 1, *(4 * size for size in grid))
    before = encoder.dense(bare.with_mask(mask), grid, mask.shape[2:])
    cell = tuple(size - 1 for size in grid)
    marked: Tensor = mask.clone()
    marked[(0, 0, *(slice(4 * index, 4 * index + 4) for index in cell))] = 5.0
    moved = (
        (encoder.dense(bare.with_mask(marked), grid, mask.shape[2:]) - before)
        .detach()
        .abs()
        .amax(1)[0]
    )
    assert (moved > 1e-6).nonzero().tolist() == [list(cell)]


@pytest.mark.parametrize("grid", GRIDS)
def test_without_a_mask_one_vector_stands_everywhere(grid: tuple[int, ...]) -> None:
    encoder = PromptEncoder(8, len(grid))
    dense = encoder.dense(no_points(2, len(grid)), grid, grid)
    assert dense.shape == (2, 8, *grid)
    assert torch.equal(dense.flatten(2)[0, :, -1], encoder.no_mask[0])


def test_the_matrix_is_kept_with_the_weights_but_never_learnt() -> None:
    encoder = PromptEncoder(8, 2)
    assert "place.matrix" in encoder.state_dict()
    assert "place.matrix" not in dict(encoder.named_parameters())


@pytest.mark.parametrize("grid", GRIDS)
def test_clicks_are_drawn_where_they_are_with_their_sign(grid: tuple[int, ...]) -> None:
    image, low = [16 * size for size in grid], [8 * size for size in grid]
    at = torch.tensor([[[2.5] * len(grid), [size - 3.5 for size in image], [9.0] * len(grid)]])
    asked = Prompts(points=at, labels=torch.tensor([[INSIDE, OUTSIDE, NOTHING]]))
    drawn = drawn_prompts(asked, image, low, radius=1.0)[0, 0]
    assert drawn[(1,) * len(grid)] == pytest.approx(1)
    assert drawn[tuple(size - 2 for size in low)] == pytest.approx(-1)
    assert drawn[(4,) * len(grid)].abs() < 0.1


def test_a_box_is_drawn_filled_and_needs_no_click() -> None:
    boxes = torch.tensor([[[4.0, 8.0], [11.0, 15.0]]])
    bare = no_points(1, 2)
    asked = Prompts(points=bare.points, labels=bare.labels, boxes=boxes)
    drawn = drawn_prompts(asked, (32, 32), (16, 16), radius=1.0)[0, 0]
    assert drawn[2:6, 4:8].min() == IN_BOX
    assert drawn.sum() == 16 * IN_BOX


def test_what_is_drawn_joins_the_last_mask_and_only_where_it_is_asked_for() -> None:
    asked = Prompts(points=torch.tensor([[[3.0, 3.0]]]), labels=torch.tensor([[INSIDE]]))
    published, ours = PromptEncoder(8, 2), PromptEncoder(8, 2, drawn=1.0)
    ours.load_state_dict(published.state_dict())
    mask = torch.zeros(1, 1, 16, 16)
    assert torch.equal(
        published.dense(asked, (4, 4), (32, 32))[0, :, 0, 0], published.no_mask[0].detach()
    )
    logits = DRAWN * drawn_prompts(asked, (32, 32), (16, 16), radius=1.0)
    expected = published.mask(logits + 1)
    assert torch.allclose(ours.dense(asked.with_mask(mask + 1), (4, 4), (32, 32)), expected)
    assert torch.allclose(ours.dense(asked, (4, 4), (32, 32)), published.mask(logits))
