"""What a loss over partial labels does to whom, as figures measure it."""

import numpy as np
import pytest
import torch

from fmtutor.bench.figures_losses import (
    confident_logits,
    pair_weights,
    plot_loss_choices,
    plot_push,
    push,
)
from fmtutor.bench.figures_partial import region_mask
from fmtutor.data.cases import Case
from fmtutor.data.domains import region_of
from fmtutor.losses.partial import REDUCTIONS, naive_loss, partial_loss


@pytest.fixture
def patient():
    """A liver and a spleen on anisotropic voxels."""
    labels = np.zeros((24, 20, 12), dtype=np.uint8)
    labels[13:22, 4:14, 2:10], labels[2:6, 4:9, 3:9] = 1, 2
    return Case(
        name="one", image=labels.astype(np.float32) * 30, affine=np.diag([3.0, 2.0, 5.0, 1.0]),
        labels=labels, table={1: "liver", 2: "spleen"},
    )  # fmt: skip


def test_the_push_of_the_masked_loss_is_zero_where_unknown_and_the_naive_one_is_down(patient):
    truth = np.stack([region_mask(patient, region_of(name)) for name in ("liver", "spleen")])
    logits, known = confident_logits(truth), torch.tensor([[True, False]])
    target = torch.from_numpy(truth)[None] & known[:, :, None, None, None]
    masked = push(partial_loss, logits, target, known)
    naive = push(naive_loss, logits, target, known)
    assert (masked[1] == 0).all()
    assert (naive[1][truth[1]] < 0).all()
    assert masked[0][truth[0]].mean() > naive[0][truth[0]].mean() > 0


def test_the_push_figure_has_a_row_per_loss_and_says_what_is_annotated(patient):
    losses = {"masked": partial_loss, "naive": naive_loss}
    figure = plot_push(patient, ("liver", "spleen"), ("liver",), losses, axial=6)
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles[0] == "masked: liver\n(annotated here)"
    assert titles[3] == "naive: spleen\n(not annotated here)"


@pytest.mark.parametrize(
    ("reduction", "poor", "rich"), [("pair_mean", 0.25, 0.25), ("class_sum", 1, 1),
                                    ("sample_mean", 1 / 2, 1 / 6)]
)  # fmt: skip
def test_measured_pair_weights_are_those_of_the_formulas(reduction, poor, rich):
    known = torch.tensor([[True, False, False], [True, True, True]])
    expected = np.array([[poor, 0, 0], [rich, rich, rich]])
    assert pair_weights(known, reduction) == pytest.approx(expected)


def test_the_loss_choices_have_a_bar_for_each_pair_and_a_curve_for_each_dice():
    known = torch.tensor([[True, False, False], [True, True, True]])
    bars, curves = plot_loss_choices(known, ("poor", "rich")).axes
    assert len(bars.patches) == len(REDUCTIONS) * 2
    assert [tick.get_text() for tick in bars.get_xticklabels()] == [
        "poor\n(1 known)",
        "rich\n(3 known)",
    ]
    assert [line.get_label() for line in curves.lines] == ['dice="slice"', 'dice="volume"']
