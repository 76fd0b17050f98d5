"""Figures of generated heads, and what they are drawn from."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from fmtutor.bench import figures_heads as figures
from fmtutor.core.files import write_json
from fmtutor.losses.dice import slice_dice_floor
from fmtutor.paradigms.partial import clip_driven

mpl.use("Agg")
CLASSES = ("liver", "spleen", "aorta")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return clip_driven.build(clip_driven.Config.tiny(classes=CLASSES)).eval()


@pytest.fixture
def image():
    return torch.rand(1, 1, 40, 16, 16, generator=torch.Generator().manual_seed(1))


def test_a_window_read_by_its_own_heads_is_the_models_answer(model, image):
    window = image[:, :, :16]
    seen = figures.look(model, window)
    with torch.no_grad():
        torch.testing.assert_close(figures.answer(model, seen, seen), model(window)[0].sigmoid())


def test_a_seam_compares_the_same_voxels(model, image):
    found = figures.seam(model, image, start=4, shift=8)
    with torch.no_grad():
        second = model(image[:, :, 12:28])[0].sigmoid()
    torch.testing.assert_close(found.second, second[:, :8])
    assert found.first.shape == found.second.shape == found.exchanged.shape == (3, 8, 16, 16)
    assert (found.shift, found.around.shape) == (8, (24, 16, 16))


def test_heads_that_ignore_the_image_leave_no_seam_of_their_own(model, image):
    with torch.no_grad():
        model.controller.weight[:, : model.config.vision_size] = 0
    found = figures.seam(model, image, start=4, shift=8)
    torch.testing.assert_close(found.first, found.exchanged)
    model.config = clip_driven.Config.tiny(classes=CLASSES)
    table = figures.seam_table(model, found, ["liver"])
    voxels = int((found.first[0] > 0.5).sum())
    assert table.loc["liver", "first"] == voxels
    assert not voxels or table.loc["liver", "Dice, heads exchanged"] == 1


def test_the_summands_of_the_parameters_are_drawn_row_by_row(model, image):
    windows = {f"h={h}": figures.look(model, image[:, :, h : h + 16]) for h in (0, 16)}
    names, seen = figures.plot_theta(model, windows).axes[:2]
    assert names.images[0].get_array().shape == (3, 153)
    assert seen.images[0].get_array().shape == (2, 153)
    assert [t.get_text() for t in seen.get_yticklabels()] == ["h=0", "h=16"]
    rows = seen.images[0].get_array()
    gap = windows["h=0"].image_part - windows["h=16"].image_part
    np.testing.assert_allclose(rows[0] - rows[1], gap, atol=1e-6)


def test_the_seam_is_drawn_with_both_windows(model, image):
    figure = figures.plot_seam(model, figures.seam(model, image, start=4, shift=8), "aorta")
    assert [box.get_x() for box in figure.axes[0].patches] == [0, 8]
    assert "aorta" in figure.get_suptitle()


def test_forms_are_drawn_from_the_numbers_of_the_result(tmp_path):
    seconds = {q: {f: {"cpu": 2.0, "wall": 1.0} for f in ("published", "lean")} for q in
               figures.QUESTIONS}  # fmt: skip
    memory = {q: {"published": 800.0, "lean": 60.0} for q in figures.QUESTIONS}
    path = tmp_path / "cpu.json"
    write_json(path, {"seconds": seconds, "extra_mb": memory, "classes": 32, "side": 64})
    left, right = figures.plot_forms(path).axes
    assert [bar.get_width() for bar in left.patches] == [2.0] * 6
    assert {bar.get_width() for bar in right.patches} == {800.0, 60.0}
    assert [text.get_text() for text in right.texts].count("800") == 3


def test_the_empty_slices_of_a_ball_make_the_floor():
    left, right = figures.plot_slice_dice(12, side=48).axes
    mean = np.mean([bar.get_height() for bar in left.patches])
    assert mean == pytest.approx(slice_dice_floor(12, side=48), abs=0.01)
    assert min(right.lines[0].get_ydata()) > 0
    assert max(right.lines[1].get_ydata()) < 0.02


def test_every_class_of_a_system_stands_in_the_figure_of_its_teachers():
    (axes,) = figures.plot_supervision("clip_driven").axes
    assert len(axes.patches) == len(axes.get_xticks()) == 32
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == 1
