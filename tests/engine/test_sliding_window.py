from itertools import product

import pytest
import torch
from monai.data.utils import compute_importance_map
from torch import nn

from fmtutor.engine.sliding_window import sliding_window


@pytest.fixture
def net():
    torch.manual_seed(1)
    return nn.Conv3d(1, 3, 3, padding=1)


def _starts(size, patch, overlap):
    stride = max(1, int(patch * (1 - overlap)))
    return [min(start, size - patch) for start in range(0, size - patch + stride, stride)]


def _plain_loop(net, image, patch, overlap, activation):
    """Window by window, in double precision, on a volume no smaller than the patch."""
    weight = compute_importance_map(patch, mode="gaussian").double()
    total, weights = 0.0, torch.zeros(image.shape[2:], dtype=torch.double)
    total = torch.zeros(3, *image.shape[2:], dtype=torch.double)
    axes = [_starts(size, p, overlap) for size, p in zip(image.shape[2:], patch, strict=True)]
    for corner in product(*axes):
        box = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        scores = activation(net(image[(..., *box)]))[0].detach().double()
        total[(slice(None), *box)] += scores * weight
        weights[box] += weight
    return (total / weights).float()


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize(
    ("name", "activation"), [("sigmoid", torch.sigmoid), ("softmax", lambda x: x.softmax(1))]
)
def test_the_blend_equals_a_plain_loop_over_windows(net, overlap, name, activation):
    image = torch.rand(1, 1, 19, 14, 9)
    patch = (8, 6, 4)
    got = sliding_window(net, image, patch=patch, overlap=overlap, activation=name)
    torch.testing.assert_close(got, _plain_loop(net, image, patch, overlap, activation))


def test_a_volume_smaller_than_the_patch_is_padded_and_cut_back(net):
    image = torch.rand(1, 1, 5, 9, 3)
    got = sliding_window(net, image, patch=(8, 6, 8))
    padded = nn.functional.pad(image, (2, 3, 0, 0, 1, 2))
    whole = _plain_loop(net, padded, (8, 6, 8), 0.5, torch.sigmoid)
    assert got.shape == (3, 5, 9, 3)
    torch.testing.assert_close(got, whole[:, 1:6, :, 2:5])


def test_only_the_wanted_channels_are_kept_in_the_order_asked_for(net):
    image = torch.rand(1, 1, 12, 10, 8)
    for activation in ("sigmoid", "softmax"):
        options = {"patch": (8, 8, 8), "activation": activation}
        every = sliding_window(net, image, **options)
        some = sliding_window(net, image, channels=[2, 0], **options)
        torch.testing.assert_close(some, every[[2, 0]])


def test_the_same_call_gives_the_same_bits_and_batches_of_windows_the_same_values(net):
    image = torch.rand(1, 1, 12, 10, 8)
    first, again = (sliding_window(net, image, patch=(8, 8, 8)) for _ in range(2))
    assert torch.equal(first, again)
    batched = sliding_window(net, image, patch=(8, 8, 8), batch_size=3)
    torch.testing.assert_close(first, batched)


def test_a_half_precision_sum_is_close_and_half_as_large(net):
    image = torch.rand(1, 1, 20, 12, 10)
    exact = sliding_window(net, image, patch=(8, 8, 8))
    half = sliding_window(net, image, patch=(8, 8, 8), dtype=torch.float16)
    assert half.dtype is torch.float16
    assert float((half.float() - exact).abs().max()) < 4e-3


def test_bf16_windows_are_close_to_fp32_ones(net):
    image = torch.rand(1, 1, 12, 10, 8)
    options = {"patch": (8, 8, 8), "device": "cpu"}
    exact = sliding_window(net, image, precision="fp32", **options)
    rough = sliding_window(net, image, precision="bf16", **options)
    difference = float((rough - exact).abs().max())
    assert 0 < difference < 0.02


def test_wrong_options_are_refused(net):
    image = torch.rand(1, 1, 8, 8, 8)
    for wrong in ({"activation": "relu"}, {"patch": (8, 8)}, {"overlap": 1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            sliding_window(net, image, **({"patch": (8, 8, 8)} | wrong))
