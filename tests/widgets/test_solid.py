"""`view3d`: the picture, the choice of backend, and that itkwidgets stays out of the way."""

import subprocess
import sys
import types

import numpy as np
import pytest
from matplotlib.figure import Figure

from fmtutor.data.cases import Case
from fmtutor.widgets.solid import masked_case, surface, view3d


@pytest.fixture(autouse=True)
def _batch(monkeypatch):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", "0")
    monkeypatch.delenv("FMTUTOR_BROWSER_ONLINE", raising=False)


@pytest.fixture
def case() -> Case:
    labels = np.zeros((10, 12, 6), dtype=np.uint8)
    labels[2:5, 2:4, 1:4] = 1  # at the back
    labels[2:5, 7:9, 1:3] = 5  # in front of it
    return Case(
        name="two blocks",
        image=np.zeros(labels.shape, dtype=np.float32),
        affine=np.diag([2.0, 1.0, 4.0, 1.0]),
        labels=labels,
        table={1: "spleen", 5: "liver"},
        known=frozenset({"spleen", "liver"}),
    )


@pytest.fixture
def itk(monkeypatch):
    """Stand in for itkwidgets; the list gets what it is asked to show."""
    shown: list[np.ndarray] = []
    module = types.ModuleType("itkwidgets")
    module.view = lambda image, label_image: shown.append(label_image)
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "itkwidgets", module)
    return shown


def test_batch_gives_a_picture(case):
    figure = view3d(case)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 3


def test_the_nearest_structure_hides_the_one_behind(case):
    colours = {1: (1.0, 0.0, 0.0), 5: (0.0, 0.0, 1.0)}
    front = surface(case, colours, axis=1, from_high=True)
    back = surface(case, colours, axis=1, from_high=False)
    assert front.shape == (6, 10, 3)
    assert front[2, 3, 2] > 0 == front[2, 3, 0]  # blue liver, from the front
    assert back[2, 3, 0] > 0 == back[2, 3, 2]
    assert front[3, 3, 0] > 0 == front[3, 3, 2]  # the spleen reaches one voxel higher
    assert (front[0, 0] == 1).all()


def test_masks_names_and_label_maps_are_accepted(case):
    assert masked_case(case, ["liver"]).table == {1: "liver"}
    assert np.array_equal(masked_case(case, ["liver"]).labels == 1, case.mask("liver"))
    assert masked_case(case, case.mask("liver")).table == {1: "mask"}
    assert list(masked_case(case, case.labels).table.values()) == ["spleen", "liver"]


def test_a_mask_on_another_grid_is_refused(case):
    with pytest.raises(ValueError, match="image's grid"):
        view3d(case, np.zeros((3, 3, 3), dtype=bool))


def test_nothing_to_show_is_refused(case):
    with pytest.raises(ValueError, match="structure to show"):
        view3d(case, np.zeros(case.image.shape, dtype=np.int16))


def test_an_unknown_backend_is_refused(case):
    with pytest.raises(ValueError, match="backend must be one of"):
        view3d(case, backend="vtk")


def test_niivue_gets_image_and_labels(case):
    viewer = view3d(case, backend="niivue")
    assert [volume.name for volume in viewer.volumes] == ["image.nii", "labels.nii"]
    assert viewer.volumes[1].colormap_label.labels == ["", "spleen", "liver"]


@pytest.mark.parametrize(("live", "online"), [("0", "1"), ("1", "0")], ids=["batch", "offline"])
def test_itk_is_refused_where_it_would_hang(case, itk, monkeypatch, live, online):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", live)
    monkeypatch.setenv("FMTUTOR_BROWSER_ONLINE", online)
    with pytest.raises(ValueError, match=r"must not run in a batch|needs a browser"):
        view3d(case, backend="itk")
    assert itk == []


def test_itk_works_when_asked_for_by_name_live_and_online(case, itk, monkeypatch):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", "1")
    monkeypatch.setenv("FMTUTOR_BROWSER_ONLINE", "1")
    view3d(case, ["liver"], backend="itk")
    assert (itk[0] > 0).sum() == case.mask("liver").sum()


def test_a_batch_never_imports_itkwidgets(tmp_path):
    (tmp_path / "itkwidgets.py").write_text("raise SystemExit('imported')")
    code = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1]);"
        "from fmtutor.data.cases import Case; from fmtutor.widgets import browser, planes, solid;"
        "case = Case(name='c', image=np.zeros((4, 4, 4), 'f4'), affine=np.eye(4));"
        "mask = np.ones((4, 4, 4), bool);"
        "solid.view3d(case, mask); solid.view3d(case, mask, backend='picture');"
        "assert 'itkwidgets' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
