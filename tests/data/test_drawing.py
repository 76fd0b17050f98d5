"""Three planes: which way is up, at which scale, over which masks."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fmtutor.core.geometry import Grid
from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case
from fmtutor.data.drawing import (
    Layer,
    busiest_voxel,
    draw_legend,
    draw_plane,
    draw_planes,
    figure_size,
    visible,
    window_of,
)

SPACING_MM = (2.0, 1.0, 4.0)
SHAPE = (20, 30, 12)


def _case(modality: str = "CT") -> Case:
    """Return an anisotropic volume that was stored LPI and read to RAS: one bright corner each."""
    stored = Grid(SHAPE, np.diag([-SPACING_MM[0], -SPACING_MM[1], -SPACING_MM[2], 1.0]))
    image = np.full(SHAPE, -1000.0, dtype=np.float32)
    image[:3, :, :] = 200.0  # stored index 0 is the patient's right: after reading, the last H
    image[:, :5, :] = 400.0  # stored front
    image[:, :, :2] = 600.0  # stored head
    ras = stored.to_ras()
    return Case(
        name="block", image=stored.array_to_ras(image), affine=ras.affine, modality=modality
    )


def _figure() -> Figure:
    figure = Figure(layout="constrained", figsize=(6, 3))
    FigureCanvasAgg(figure)
    return figure


def _mask(*at: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[at] = True
    return mask


def _rendered(case: Case, plane: str, index: int) -> np.ndarray:
    """Draw one plane without margins and return its grey values, top row first."""
    figure = Figure(figsize=(2, 2), dpi=100)
    canvas = FigureCanvasAgg(figure)
    panel = figure.add_axes((0, 0, 1, 1))
    draw_plane(panel, case, plane, index=index, window=(-1000, 600))
    panel.set_title("")
    panel.set_aspect("auto")
    for text in panel.texts:
        text.set_visible(False)
    for line in panel.lines:
        line.set_visible(False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0].astype(int)


def test_axial_slices_show_the_right_at_the_viewers_left_and_the_front_up():
    picture = _rendered(_case(), "axial", index=0)
    assert picture[150, 5] > 150 > picture[150, 190]  # the bright right side
    assert picture[5, 190] > 200 > picture[190, 190]  # the brighter front


def test_coronal_slices_show_the_head_up():
    picture = _rendered(_case(), "coronal", index=0)
    assert picture[5, 190] > 240 > picture[190, 190]
    assert picture[190, 5] > 150


def test_sagittal_slices_show_the_front_at_the_viewers_left():
    picture = _rendered(_case(), "sagittal", index=0)
    assert picture[190, 5] > 200 > picture[190, 190]
    assert picture[5, 190] > 240


@pytest.mark.parametrize(
    ("plane", "letters"),
    [("axial", ["R", "L", "A", "P"]), ("coronal", ["R", "L", "S", "I"]),
     ("sagittal", ["A", "P", "S", "I"])],
)  # fmt: skip
def test_letters_name_the_edges(plane, letters):
    panel = _figure().subplots()
    draw_plane(panel, _case(), plane, index=0)
    assert [text.get_text() for text in panel.texts][:4] == letters


def test_panels_are_in_millimetres():
    figure = _figure()
    draw_planes(figure, _case())
    extents = [panel.images[0].get_extent() for panel in figure.axes]
    assert extents == [[0, 40, 0, 30], [0, 40, 0, 48], [0, 30, 0, 48]]
    assert {panel.get_aspect() for panel in figure.axes} == {1.0}


def test_the_planes_go_through_the_voxel_that_is_asked_for():
    figure = _figure()
    assert draw_planes(figure, _case(), at=(4, 7, 2)) == (4, 7, 2)
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["axial, d = 2", "coronal, w = 7", "sagittal, h = 4"]


def test_filled_masks_are_painted_in_the_colour_of_their_structure():
    figure = _figure()
    mask = _mask(slice(2, 6), slice(3, 9), slice(1, 4))
    draw_planes(figure, _case(), layers=[Layer(masks={"liver": mask})], at=(3, 4, 2))
    paint = figure.axes[0].images[1].get_array()
    assert paint.shape == (30, 20, 4)
    assert (paint[..., 3] > 0).sum() == 4 * 6
    red = int(colour_of("liver")[1:3], 16) / 255
    assert np.isclose(paint[4, 3, 0], red, atol=1e-6)


def test_outlines_lie_where_the_mask_lies_in_millimetres():
    panel = _figure().subplots()
    mask = _mask(slice(5, 10), slice(10, 20), slice(3, 6))
    layer = Layer(masks={"liver": mask}, style="dashed")
    draw_plane(panel, _case(), "axial", index=4, layers=[layer])
    corners = np.concatenate([p.vertices for p in panel.collections[0].get_paths()])
    assert np.allclose(corners.min(axis=0), (5 * 2, 10 * 1), atol=0.1)
    assert np.allclose(corners.max(axis=0), (10 * 2, 20 * 1), atol=0.1)


def test_the_busiest_voxel_sees_most_masks():
    masks = {
        "a": _mask(slice(0, 9), slice(0, 9), slice(0, 5)),
        "b": _mask(slice(8, 9), slice(8, 9), slice(4, 8)),
    }
    assert busiest_voxel(masks, SHAPE) == (8, 8, 4)
    assert busiest_voxel({}, SHAPE) == (10, 15, 6)


def test_the_legend_names_what_is_cut_largest_first_and_counts_the_rest():
    small, large = _mask(slice(3, 5), slice(3, 5), slice(3, 5)), _mask(slice(0, 9))
    far = _mask(slice(19, 20), slice(29, 30), slice(11, 12))
    masks = {"spleen": small, "liver": large, "aorta": far}
    found = visible(_case(), [Layer(masks=masks)], (4, 4, 4))
    assert found == {"liver": colour_of("liver"), "spleen": colour_of("spleen")}
    figure = _figure()
    draw_legend(figure, {f"name {i}": "#102030" for i in range(30)})
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == 25
    assert texts[-1] == "and 6 more"


def test_a_voxel_outside_is_refused():
    with pytest.raises(ValueError, match="voxel of the image"):
        draw_planes(_figure(), _case(), at=(20, 0, 0))


def test_a_mask_on_another_grid_is_refused():
    layer = Layer(masks={"liver": np.zeros((5, 5, 5), dtype=bool)})
    with pytest.raises(ValueError, match="for 'liver'"):
        draw_planes(_figure(), _case(), layers=[layer])


def test_an_mr_window_follows_the_intensities():
    assert window_of(_case()) == (-160.0, 240.0)
    low, high = window_of(_case("MR"))
    assert (low, high) == (-1000.0, 600.0)


def test_the_figure_is_as_high_as_its_tallest_panel():
    width, height = figure_size(_case(), width=11.0, legend_rows=2)
    assert width == 11.0
    assert np.isclose(height, 11.0 * 48 / 110 + 0.45 + 0.4)
