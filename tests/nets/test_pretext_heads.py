"""Heads that answer for a crop from its deepest features."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from fmtutor.nets.pretext_heads import ReconstructionHead, TokenHead


def test_a_token_head_reads_its_token_and_no_other() -> None:
    deepest = torch.randn(2, 5, 1, 2, 3, requires_grad=True)
    TokenHead(5, 4, token=1)(deepest).sum().backward()
    assert deepest.grad is not None
    read = deepest.grad.abs().sum((0, 1)) > 0
    assert read.nonzero().tolist() == [[0, 0, 1]]


def test_a_token_head_is_a_linear_map() -> None:
    head, deepest = TokenHead(5, 4, token=0), torch.randn(2, 5, 2, 2, 2)
    expected = head.linear(deepest[:, :, 0, 0, 0])
    assert torch.equal(head(deepest), expected)
    assert expected.shape == (2, 4)


def test_a_token_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(ValueError, match="reads token 1, but the deepest stage has 1 of them"):
        TokenHead(5, 4, token=1)(torch.randn(2, 5, 1, 1, 1))


def test_reconstruction_goes_back_to_the_voxels_in_five_doublings() -> None:
    head = ReconstructionHead(32)
    assert head(torch.randn(2, 32, 2, 1, 1)).shape == (2, 1, 64, 32, 32)
    kinds = [type(layer) for layer in head]
    stage = [nn.Conv3d, nn.InstanceNorm3d, nn.LeakyReLU, nn.Upsample]
    assert kinds == [*stage * 5, nn.Conv3d]
    widths = [layer.out_channels for layer in head if isinstance(layer, nn.Conv3d)]
    assert widths == [16, 8, 4, 2, 2, 1]


def test_the_published_size_of_the_reconstruction_head() -> None:
    """Widths 384, 192, 96, 48, 48 at 768 features: 3^3 kernels and biases, counted by hand."""
    widths = (768, 384, 192, 96, 48, 48)
    count = sum(27 * a * b + b for a, b in pairwise(widths)) + 48 + 1
    with torch.device("meta"):
        head = ReconstructionHead(768)
    assert sum(p.numel() for p in head.parameters()) == count == 10_638_385
