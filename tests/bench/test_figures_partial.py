import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fmtutor.bench.figures_partial import (
    COLUMNS,
    plot_centres,
    plot_conflicts,
    plot_readings,
    reading,
    region_mask,
    teachers,
)
from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, region_of

mpl.use("Agg")
TABLE = {1: "liver", 2: "liver_lesion", 3: "spleen", 4: "aorta_infrarenal", 5: "aorta_suprarenal"}


@pytest.fixture
def patient():
    """A liver with a lesion, a spleen and an aorta in two parts, on anisotropic voxels."""
    labels = np.zeros((24, 20, 12), dtype=np.uint8)
    labels[13:22, 4:14, 2:10], labels[16:19, 7:10, 5:8] = 1, 2
    labels[2:6, 4:9, 3:9] = 3
    labels[10:12, 5:7, :6], labels[10:12, 5:7, 6:] = 4, 5
    image = labels.astype(np.float32) * 30
    affine = np.diag([3.0, 2.0, 5.0, 1.0])
    known = frozenset(CENTRES["liver_unit"].protocol.region("liver").structures)
    return Case(name="one", image=image, affine=affine, labels=labels, table=TABLE, known=known)


@pytest.mark.parametrize(
    ("centre", "name", "expected"),
    [
        ("liver_unit", "liver", "with"),
        ("abdomen_atlas", "liver", "without"),
        ("abdomen_atlas", "aorta", "own"),
        ("spine_clinic", "aorta", "part"),
        ("survey", "kidney_left", "merged"),
        ("kidney_unit", "kidney_left", "with"),
        ("survey", "kidney_lesion", None),
        ("bowel_unit", "liver", None),
    ],
)
def test_a_reading_tells_what_a_centre_means_by_a_name(centre, name, expected):
    assert reading(CENTRES[centre], name) == expected


def test_teachers_counts_classes_of_that_name_and_not_larger_ones():
    assert [teachers(name) for name in ("liver", "kidney_left", "colon", "hips")] == [3, 2, 1, 0]


def test_the_centre_figure_is_white_exactly_where_a_centre_is_silent():
    image = np.asarray(plot_centres().axes[0].images[0].get_array())
    silent = [[reading(c, name) is None for name in COLUMNS] for c in CENTRES.values()]
    assert (image == 1).all(axis=-1).tolist() == silent
    assert image[0, 0] == pytest.approx(to_rgb(colour_of("liver")))


def test_a_region_mask_holds_what_its_protocol_means_and_nothing_else(patient):
    bare = region_mask(patient, CENTRES["abdomen_atlas"].protocol.region("liver"))
    wide = region_mask(patient, region_of("liver"))
    assert (wide & ~bare).sum() == 27
    assert region_mask(patient, CENTRES["spine_clinic"].protocol.region("aorta")).sum() == 24


def test_readings_draw_an_axial_and_a_coronal_slice_per_centre(patient):
    centres = [CENTRES["liver_unit"], CENTRES["abdomen_atlas"]]
    figure = plot_readings(patient, centres, axial=6, coronal=8)
    assert [axes.get_title() for axes in figure.axes] == ["liver unit", "abdomen atlas", "", ""]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["liver", "liver lesion", "spleen", "aorta"]


def test_conflicts_are_cut_out_at_the_scale_of_the_patient(patient):
    views = [(("liver",), "liver_unit", "axial", 6), (("liver",), "abdomen_atlas", "axial", 6)]
    filled = []
    for panel in plot_conflicts(patient, views).axes:
        image, paint = panel.images
        rows, columns = image.get_array().shape
        assert image.get_extent() == [0.0, columns * 3.0, 0.0, rows * 2.0]
        filled.append(int((np.asarray(paint.get_array())[..., 3] > 0).sum()))
    assert filled == [90, 81]
