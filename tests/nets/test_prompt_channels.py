import pytest
import torch

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Prompts, no_points
from fmtutor.nets.prompt_channels import CHANNELS, ball_at, filled, prompt_channels

GRID = (12, 10, 8)


def drawn(prompts, grid=GRID, radius=2.0, fade=0.5):
    found = prompt_channels(prompts, grid, radius=radius, fade=fade)
    return dict(zip(CHANNELS, found.unbind(1), strict=True))


def clicked(points, labels, **others):
    return Prompts(points=torch.tensor([points]).float(), labels=torch.tensor([labels]), **others)


def test_a_click_is_a_ball_in_the_channel_of_its_sign():
    channels = drawn(clicked([[6, 5, 4]], [OUTSIDE]))
    ball = channels["clicks outside"][0]
    axes = torch.meshgrid(*[torch.arange(n) for n in GRID], indexing="ij")
    distance = sum((a - c) ** 2 for a, c in zip(axes, (6, 5, 4), strict=True))
    assert torch.equal(ball > 0, distance <= 4)
    assert channels["clicks inside"].max() == 0


def test_older_clicks_fade_and_the_clearer_ball_stays():
    points, labels = [[3, 5, 4], [8, 5, 4], [4, 5, 4]], [INSIDE, OUTSIDE, INSIDE]
    channels = drawn(clicked(points, labels))
    inside = channels["clicks inside"][0]
    assert inside[1, 5, 4] == 0.25
    assert inside[3, 5, 4] == 1.0
    assert channels["clicks outside"][0, 8, 5, 4] == 0.5


def test_padding_is_not_drawn_and_ages_nothing():
    channels = drawn(clicked([[3, 5, 4], [0, 0, 0]], [INSIDE, NOTHING]))
    assert channels["clicks inside"].max() == 1
    assert channels["clicks inside"][0, 0, 0, 0] == 0


def test_a_ball_is_cut_at_the_border_and_gone_beyond():
    box, ball = ball_at(torch.tensor([0.0, 5.0, 4.0]), GRID, radius=2.0)
    assert box[0].start == 0
    assert ball.any((1, 2)).tolist()[:4] == [True, True, True, False]
    _, far = ball_at(torch.tensor([-9.0, 5.0, 4.0]), GRID, radius=2.0)
    assert not far.any()
    _, beyond = ball_at(torch.tensor([30.0, 5.0, 4.0]), GRID, radius=2.0)
    assert not beyond.any()


def test_a_box_holds_its_first_and_last_voxel():
    mask = filled(torch.tensor([[[2.0, 3.0], [4.0, 3.0]]]), (6, 5))
    assert mask[0].nonzero().tolist() == [[2, 3], [3, 3], [4, 3]]


def test_the_last_mask_comes_as_probabilities_on_the_images_grid():
    low = torch.full((1, 1, 6, 5, 4), 2.0)
    channels = drawn(no_points(1, 3).with_mask(low))
    assert channels["mask"].shape == (1, *GRID)
    assert torch.allclose(channels["mask"], torch.tensor(2.0).sigmoid())


@pytest.mark.parametrize("grid", [(8, 6), GRID])
def test_without_prompts_every_channel_is_empty_in_2d_and_3d(grid):
    found = prompt_channels(no_points(2, len(grid)), grid, radius=2.0, fade=0.9)
    assert found.shape == (2, 6, *grid)
    assert found.abs().max() == 0


def test_scribbles_are_drawn_as_they_are():
    strokes = (torch.rand(1, 2, *GRID) > 0.5).float()
    channels = drawn(clicked([[3, 5, 4]], [INSIDE], scribbles=strokes))
    assert torch.equal(channels["scribble outside"][0], strokes[0, 1])


def test_a_click_fades_no_further_than_the_oldest_that_counts():
    points = torch.tensor([[[2.0, 2.0], [6.0, 2.0], [2.0, 6.0], [6.0, 6.0]]])
    asked = Prompts(points=points, labels=torch.ones(1, 4, dtype=torch.long))
    found = prompt_channels(asked, (9, 9), radius=1.0, fade=0.5, oldest=2)[0, 1]
    assert [float(found[2, 2]), float(found[6, 2]), float(found[6, 6])] == [0.25, 0.25, 1.0]
