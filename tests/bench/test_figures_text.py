"""Figures and the table of class vectors."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from fmtutor.bench.figures_text import off_diagonal, plot_cosines, plot_map, sides
from fmtutor.data.anatomy import KNOWN_STRUCTURES, NOVEL_STRUCTURES
from fmtutor.nets.text import TextBank, load_bank

mpl.use("Agg")


def made(names: tuple[str, ...], rows: list[list[float]]) -> TextBank:
    return TextBank(names=names, prompts=names, vectors=torch.tensor(rows), source={})


PAIRS = made(
    ("hip_left", "hip_right", "kidney_left", "kidney_right", "liver"),
    [[5, 0, 0.1], [5, 0, -0.1], [0, 5, 0.1], [0, 5, -0.1], [3, 3, 0]],
)


def test_off_diagonal_leaves_the_ones_out():
    bank = made(("liver", "spleen", "aorta"), [[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    assert off_diagonal(bank) == pytest.approx({"mean": -1 / 3, "min": -1.0, "max": 0.0})
    with pytest.raises(ValueError, match="needs two"):
        off_diagonal(bank.only(["liver"]))


def test_cosines_are_drawn_as_encoded_and_centred_with_their_range():
    figure = plot_cosines(PAIRS)
    left, right = figure.axes[:2]
    np.testing.assert_allclose(left.images[0].get_array(), PAIRS.cosine(), atol=1e-6)
    np.testing.assert_allclose(right.images[0].get_array(), PAIRS.centred().cosine(), atol=1e-6)
    assert f"mean {off_diagonal(PAIRS)['mean']:.2f}" in left.get_title()
    assert "−" in right.get_title()
    assert left.get_xticklabels()[0].get_text() == "hip left"


def test_the_map_writes_every_name_once_and_no_two_over_each_other():
    bank = load_bank("minilm").only(KNOWN_STRUCTURES + NOVEL_STRUCTURES)
    figure = plot_map(bank, novel=NOVEL_STRUCTURES)
    figure.canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    assert sorted(t.get_text() for t in texts) == sorted(n.replace("_", " ") for n in bank.names)
    boxes = [text.get_window_extent() for text in texts]
    clashes = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert clashes == 0
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(rings) == len(NOVEL_STRUCTURES)


def test_the_map_shows_the_directions_of_most_variance():
    figure = plot_map(PAIRS)
    places = np.array([line.get_xydata()[0] for line in figure.axes[0].lines])
    centred = PAIRS.vectors.numpy() - PAIRS.vectors.numpy().mean(0)
    by_hand = np.linalg.eigvalsh(centred.T @ centred)[::-1][:2]
    np.testing.assert_allclose((places**2).sum(0), by_hand, rtol=1e-4)
    with pytest.raises(ValueError, match="three classes"):
        plot_map(PAIRS.only(["liver", "hip_left"]))


def test_sides_measure_one_common_direction():
    table = sides(PAIRS).set_index("left")
    assert list(table.index) == ["hip_left", "kidney_left"]
    assert table["rank"].tolist() == [1, 1]
    assert table["agreement"].tolist() == pytest.approx([1.0, 1.0])
    assert table["gap"]["hip_left"] == pytest.approx(0.2 / torch.pdist(PAIRS.vectors).mean().item())
    other = made(PAIRS.names, [[5, 0, 0.1], [5, 0, -0.1], [0, 5, 0], [0.2, 5, 0], [3, 3, 0]])
    assert sides(other)["agreement"].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    with pytest.raises(ValueError, match="two pairs"):
        sides(PAIRS.only(["hip_left", "hip_right", "liver"]))
