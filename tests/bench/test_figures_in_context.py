import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch

from fmtutor.bench import figures_in_context as figures
from fmtutor.data.episodes import Episodes

mpl.use("Agg")


def episode(supports: int = 3, size: int = 16) -> Episodes:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, supports + 1, 1, size, size, generator=generator)
    masks = torch.zeros_like(images)
    masks[..., 4:9, 5:12] = 1
    return Episodes(
        query=images[:, 0], target=masks[:, 0] > 0.5, support_images=images[:, 1:],
        support_masks=masks[:, 1:], known=torch.ones(1, 1, dtype=torch.bool),
        names=("centre/left_hip axial",),
    )  # fmt: skip


def test_the_patients_right_is_on_the_left_and_the_front_up() -> None:
    plane = np.zeros((4, 6))  # rows run to the right, columns to the front
    plane[3, 5] = 1
    shown = figures.upright(plane)
    assert shown.shape == (6, 4)
    assert shown[0, 0] == 1


def test_contours_lie_round_the_mask_also_where_it_fills_the_square() -> None:
    mask = np.zeros((8, 10), bool)
    mask[1:3, 2:5] = True
    for truth in (mask, np.ones((8, 10), bool)):
        _, axes = plt.subplots()
        figures.draw_slice(axes, np.zeros((8, 10)), truth=truth)
        segments = np.concatenate(axes.collections[0].get_paths()[0].to_polygons())
        seen = np.argwhere(figures.upright(truth))
        np.testing.assert_allclose(segments.min(0), seen.min(0)[::-1] - 0.5)
        np.testing.assert_allclose(segments.max(0), seen.max(0)[::-1] + 0.5)
    plt.close("all")


def test_an_empty_answer_draws_no_contour() -> None:
    _, axes = plt.subplots()
    figures.draw_slice(axes, np.zeros((8, 8)), answer=np.zeros((8, 8)))
    assert not axes.collections
    plt.close("all")


def test_the_contact_sheet_has_query_and_examples_of_each_episode() -> None:
    figure = figures.plot_episodes([episode(3), episode(1)], supports=3)
    drawn = [bool(axes.images) for axes in figure.axes]
    assert drawn == [True] * 6 + [False] * 2
    assert figure.axes[0].get_title(loc="left") == "left hip axial"
    plt.close(figure)


def test_answers_fill_rows_and_leave_the_rest_blank() -> None:
    image, mask = np.zeros((8, 8)), np.eye(8)
    panels = {f"{number}": (image, mask, None) for number in range(5)}
    figure = figures.plot_answers(panels, columns=3)
    assert [axes.get_title() for axes in figure.axes] == ["0", "1", "2", "3", "4", ""]
    plt.close(figure)


def test_an_ensemble_shows_its_variance_and_its_mistakes() -> None:
    members = torch.zeros(4, 8, 8)
    members[:2, 2:4] = 1
    members[:, 6] = 0.9
    truth = np.zeros((8, 8))
    figure = figures.plot_ensemble(np.zeros((8, 8)), truth, members)
    variance, wrong = (axes.images[0].get_array() for axes in figure.axes[2:])
    np.testing.assert_allclose(variance, figures.upright(members.var(0, correction=0)))
    np.testing.assert_array_equal(wrong, figures.upright(members.mean(0) > 0.5))
    assert len(figure.axes[0].collections) == 4
    plt.close(figure)


def test_the_training_curve_has_a_dot_for_each_measurement() -> None:
    figure = figures.plot_training(list(np.linspace(2, 1, 30)), [(0, 0.1, 0.1), (30, 0.5, 0.2)])
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[1].get_ydata()[-1], np.linspace(2, 1, 30)[-10:].mean())
    assert list(right.lines[0].get_ydata()) == [0.1, 0.5]
    assert list(right.lines[1].get_ydata()) == [0.1, 0.2]
    plt.close(figure)


def test_the_block_names_its_parts() -> None:
    texts = " ".join(text.get_text() for text in figures.plot_block().axes[0].texts)
    assert all(part in texts for part in ("CrossConv", "mean over", "Conv$_q$", "Conv$_s$"))
    plt.close("all")


def test_a_window_holds_both_masks_with_their_margin_and_stays_inside() -> None:
    first, second = np.zeros((20, 30)), np.zeros((20, 30))
    first[2:4, 10:12], second[5:6, 14:18] = 1, 1
    rows, columns = figures.window_round([first, second], (20, 30), 3)
    assert (rows, columns) == (slice(0, 14), slice(7, 21))
    assert figures.window_round([first], (20, 30), 40) == (slice(0, 20), slice(1, 21))
    assert figures.window_round([0 * first], (20, 30), 3) == (slice(None), slice(None))
    assert figures.window_round([first], (20, 30), None) == (slice(None), slice(None))
    figure = figures.plot_answers({"a": (first, first, second), "b": (first, None, None)}, margin=3)
    assert [axes.images[0].get_array().shape for axes in figure.axes[:2]] == [(14, 14), (30, 20)]
    plt.close(figure)
