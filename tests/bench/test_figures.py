import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fmtutor.bench.figures import CATALOG_STRUCTURES, plot_catalog
from fmtutor.data.anatomy import colour_of
from fmtutor.data.catalog import catalog

mpl.use("Agg")


def pixels(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def test_the_catalog_figure_has_a_row_per_dataset_and_the_talks_first():
    figure = plot_catalog()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(labels) == len(catalog())
    assert labels[0].startswith("Pancreas-CT")
    assert labels[-1].startswith("TotalSegmentator v2")
    assert pixels(figure).shape[1] == sum(len(block) for _, block in CATALOG_STRUCTURES)


def test_own_classes_are_full_merged_ones_pale_and_unknown_ones_white():
    figure = plot_catalog(["kits", "btcv"], blocks=[("", ["kidney left", "spleen"])])
    image = pixels(figure)
    full = np.array(to_rgb(colour_of("kidney_left")))
    assert image[1, 0] == pytest.approx(full)
    assert image[0, 0] == pytest.approx(1 - 0.35 * (1 - full))
    assert image[0, 1] == pytest.approx(np.ones(3))


def test_dots_mark_the_classes_that_include_lesions():
    figure = plot_catalog(["lits", "btcv"], blocks=[("", ["liver", "liver_lesion"])])
    dots = [line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots == [[[0.0, 0.0]]]
