"""`show_planes`: what the figure shows, and that nothing of it stays behind."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fmtutor.data.cases import Case
from fmtutor.widgets.planes import label_masks, show_planes


@pytest.fixture
def case() -> Case:
    labels = np.zeros((20, 24, 10), dtype=np.uint8)
    labels[4:10, 4:12, 2:6] = 5
    labels[12:15, 4:8, 2:6] = 1
    affine = np.diag([2.0, 1.5, 5.0, 1.0])
    return Case(
        name="two blocks",
        image=np.zeros((20, 24, 10), dtype=np.float32),
        affine=affine,
        labels=labels,
        table={1: "spleen", 5: "liver", 52: "aorta"},
        known=frozenset({"spleen", "liver", "aorta"}),
    )


def test_the_legend_names_the_structures_in_view(case):
    figure = show_planes(case)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["liver", "spleen"]


def test_only_the_wanted_labels_are_drawn(case):
    assert list(label_masks(case, ["spleen"])) == ["spleen"]
    assert label_masks(case, False) == {}
    assert label_masks(case, ["aorta"])["aorta"].sum() == 0  # known, and absent


def test_masks_are_outlined_over_the_labels(case):
    figure = show_planes(case, labels=["liver"], masks={"spleen": case.mask("spleen")})
    assert [len(panel.collections) for panel in figure.axes].count(1) >= 2
    assert {t.get_text() for t in figure.legends[0].get_texts()} == {"liver", "spleen"}


def test_no_figure_stays_open(case):
    before = plt.get_fignums()
    show_planes(case, labels=False, title="nothing labelled")
    with pytest.raises(ValueError, match="voxel"):
        show_planes(case, at=(99, 0, 0))
    assert plt.get_fignums() == before


def test_a_structure_that_is_not_annotated_is_refused(case):
    with pytest.raises(ValueError, match="does not annotate"):
        show_planes(case, labels=["heart"])
