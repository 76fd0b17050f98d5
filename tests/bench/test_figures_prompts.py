import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from fmtutor.bench.figures_prompts import (
    cosine_matrix,
    nearness,
    nearness_table,
    organ_of,
    plane_of,
    plot_prompts,
)

mpl.use("Agg")
ORGANS = ("liver", "spleen", "aorta", "pancreas", "kidney_left")
NAMES = [f"{centre}/{organ}" for centre in "abc" for organ in ORGANS]


def _vectors(strength: float, seed: int = 0) -> np.ndarray:
    """Vectors with a part of their organ's, a part of their dataset's, and one common to all."""
    generator = np.random.default_rng(seed)
    organs, centres = generator.normal(size=(5, 32)), generator.normal(size=(3, 32))
    own = generator.normal(size=(3, 5, 32))
    mixed = strength * organs[None] + 2 * centres[:, None] + own + 3 * generator.normal(size=32)
    return mixed.reshape(15, 32)


def test_cosines_equal_values_worked_by_hand() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    expected = [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0.5**0.5], [0, 0.5**0.5, 1]]
    np.testing.assert_allclose(cosine_matrix(vectors), expected, atol=1e-12)
    opposite = cosine_matrix(np.array([[5.0, 1.0], [5.0, 3.0]]), centred=True)
    np.testing.assert_allclose(opposite, [[1, -1], [-1, 1]], atol=1e-12)


def test_a_vector_without_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 of length 0"):
        cosine_matrix(np.array([[1.0, 0.0], [0.0, 0.0]]))


def test_shared_organs_are_found_and_a_common_or_a_dataset_part_is_not_mistaken_for_them() -> None:
    found = nearness(NAMES, _vectors(2.0), draws=500)
    assert found.pairs == 15
    assert found.same > found.different + 0.2
    assert found.p_value < 0.01
    assert "15 pairs" in str(found)
    chances = [nearness(NAMES, _vectors(0.0, s), draws=200, seed=s).p_value for s in range(20)]
    assert 0.25 < np.mean(chances) < 0.75


def test_the_means_are_over_pairs_of_two_datasets_alone() -> None:
    names = ["a/liver", "a/spleen", "b/liver", "b/spleen"]
    vectors = np.array([[1.0, 0], [1, 1], [0, 1], [1, 1]])
    found = nearness(names, vectors, centred=False, draws=10)
    assert found.same == pytest.approx((0 + 1) / 2)
    assert found.different == pytest.approx(0.5**0.5)


def test_bare_names_are_compared_over_all_pairs() -> None:
    found = nearness([organ_of(name) for name in NAMES], _vectors(4.0), draws=300)
    assert found.pairs == 15
    assert found.p_value < 0.05


def test_without_a_repeated_organ_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="dataset/organ"):
        nearness(["a/liver", "b/spleen"], np.eye(2))


def test_the_plane_keeps_the_largest_differences() -> None:
    angle = np.array([0.0, 0.1, 1.5, 1.6])
    vectors = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1) * 7
    points = plane_of(vectors)
    assert points.shape == (4, 2)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert gaps[0, 1] < 0.2 < 1 < gaps[0, 2]


def test_the_figure_orders_by_organ_and_shows_the_same_cosines() -> None:
    vectors = _vectors(1.0)
    figure = plot_prompts(NAMES, vectors, title="tokens")
    raw, centred = (axis.images[0].get_array() for axis in figure.axes[:2])
    order = sorted(range(15), key=lambda row: (organ_of(NAMES[row]), NAMES[row]))
    np.testing.assert_allclose(raw, cosine_matrix(vectors[order]))
    np.testing.assert_allclose(centred, cosine_matrix(vectors[order], centred=True))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[:3] == ["a/aorta", "b/aorta", "c/aorta"]
    plt.close(figure)


def test_the_table_has_a_row_per_set_raw_and_centred() -> None:
    sets = {"near": _vectors(4.0), "chance": _vectors(0.0)}
    table = nearness_table(NAMES, sets, draws=200)
    assert list(table.index) == ["near", "chance"]
    assert table.loc["near", "p"] < 0.02 < table.loc["chance", "p"]
    found = nearness(NAMES, sets["near"], draws=200)
    assert table.loc["near", "same, centred"] == found.same
    raw = nearness(NAMES, sets["near"], centred=False, draws=1)
    assert table.loc["near", "two organs"] == raw.different
