from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.geometry import Grid
from fmtutor.data.cases import Case
from fmtutor.engine.inference import segment
from fmtutor.engine.metrics import dice

NATIVE = Grid(
    (60, 50, 30),
    np.array([[-1.0, 0, 0, 50], [0, 0, 2.5, 3], [0, -1.2, 0, 7], [0, 0, 0, 1]]),
)


@pytest.fixture
def case():
    """A bright ball of 15 mm in soft tissue, on an anisotropic grid stored as LIA."""
    ras = NATIVE.to_ras()
    axes = [np.arange(n) * mm for n, mm in zip(ras.shape, ras.spacing_mm, strict=True)]
    h, w, d = np.meshgrid(*axes, indexing="ij")
    ball = (h - 30) ** 2 + (w - 40) ** 2 + (d - 30) ** 2 < 15**2
    return Case(
        name="ball",
        image=np.where(ball, 200.0, 0.0).astype(np.float32),
        affine=ras.affine,
        labels=ball.astype(np.uint8),
        table={1: "ball"},
        known=frozenset({"ball"}),
        native=NATIVE,
    )


class Threshold(nn.Module):
    """Logits of "brighter than 100 HU" and of its opposite, with a mode to watch."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(40.0))
        self.modes = []

    def forward(self, image):
        self.modes.append(self.training)
        bright = (image - (100 + 175) / 425) * self.scale
        return torch.cat([bright, -bright], dim=1)


OPTIONS = {"names": ("ball", "rest"), "patch": (16, 16, 16)}


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (1.0, 2.5, 1.2), None])
def test_a_ball_is_found_at_its_place_on_the_grid_of_the_case(case, spacing_mm):
    prediction = segment(Threshold(), case, spacing_mm=spacing_mm, **OPTIONS)
    mask = prediction.mask("ball")
    assert mask.shape == case.image.shape
    assert dice(mask, case.mask("ball")) > (0.95 if spacing_mm == (2.0, 2.0, 2.0) else 0.999)
    assert np.array_equal(prediction.mask("rest"), ~mask)
    assert prediction.native is NATIVE


def test_the_network_sees_the_working_spacing_and_normalised_intensities(case):
    seen = []

    def forward(window):
        seen.append((tuple(window.shape), float(window.min()), float(window.max())))
        return window

    prediction = segment(
        forward, case, spacing_mm=(3.0, 3.0, 3.0), names=("a",), patch=(20, 30, 20)
    )
    assert prediction.working.spacing_mm == (3.0, 3.0, 3.0)
    assert {shape for shape, _, _ in seen} == {(1, 1, 20, 30, 20)}
    assert max(high for _, _, high in seen) == pytest.approx(375 / 425, abs=1e-5)
    assert min(low for _, low, _ in seen) == 0.0  # padding is the lower end of the window


def test_softmax_classes_exclude_each_other(case):
    prediction = segment(
        Threshold(),
        case,
        spacing_mm=None,
        activation="softmax",
        **OPTIONS | {"names": ("ball", "background")},
    )
    labels, table = prediction.label_map()
    assert table == {1: "ball"}
    assert dice(labels == 1, case.mask("ball")) > 0.999


def test_a_network_is_evaluated_and_gets_its_training_mode_back(case):
    network = Threshold().train()
    segment(network, case, spacing_mm=(3.0, 3.0, 3.0), **OPTIONS)
    assert not any(network.modes)
    assert network.training


def test_only_the_wanted_classes_are_kept(case):
    whole = segment(Threshold(), case, spacing_mm=(3.0, 3.0, 3.0), **OPTIONS)
    part = segment(Threshold(), case, spacing_mm=(3.0, 3.0, 3.0), wanted=("rest",), **OPTIONS)
    assert part.names == ("rest",)
    assert np.array_equal(part.scores[0], whole.scores[1])
    with pytest.raises(ValueError, match="liver"):
        segment(Threshold(), case, spacing_mm=None, wanted=("liver",), **OPTIONS)
    with pytest.raises(ValueError, match="softmax"):
        segment(
            Threshold(), case, spacing_mm=None, wanted=("ball",), activation="softmax", **OPTIONS
        )


def test_a_network_of_other_channels_is_refused(case):
    with pytest.raises(ValueError, match="2 channels, got 1 names"):
        segment(Threshold(), case, spacing_mm=(3.0, 3.0, 3.0), names=("ball",), patch=(16, 16, 16))


def test_the_labels_of_the_case_are_not_looked_at(case):
    blind = replace(case, labels=None, table={}, known=frozenset())
    one, other = (
        segment(Threshold(), c, spacing_mm=(3.0, 3.0, 3.0), **OPTIONS) for c in (case, blind)
    )
    assert np.array_equal(one.scores, other.scores)


def test_memory_does_not_grow_with_the_grid_of_the_case():
    case = Case(
        name="large",
        image=np.zeros((120, 120, 60), np.float32),
        affine=np.diag([0.75, 0.75, 1.5, 1.0]),
    )
    names = tuple(f"class {i}" for i in range(20))
    prediction = segment(
        lambda x: x.expand(-1, 20, -1, -1, -1),
        case,
        names=names,
        spacing_mm=(3.0, 3.0, 3.0),
        patch=(30,) * 3,
    )
    assert prediction.scores.nbytes < case.image.nbytes / 2
    assert prediction.mask("class 19").shape == case.image.shape
