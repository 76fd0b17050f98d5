"""Norm layers against torch's own."""

import copy

import pytest
import torch
from torch import Tensor, nn

from fmtutor.nets.norms import BatchStatisticsNorm, InstanceNorm, norm_layer


def _image(batch: int, kind: torch.dtype = torch.float64) -> Tensor:
    draw = torch.randn(batch, 6, 5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=kind)
    return (3 * draw + 1).contiguous(memory_format=torch.channels_last_3d)


def _gradients(layer: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = layer(x)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    return [out, *torch.autograd.grad((out * weight).sum(), (x, *layer.parameters()))]


@pytest.mark.parametrize("batch", [1, 3])
def test_instance_norm_equals_torchs_in_value_and_gradient(batch: int) -> None:
    ours = InstanceNorm(6).double()
    nn.init.normal_(ours.weight, generator=torch.Generator().manual_seed(1))
    theirs = nn.InstanceNorm3d(6, affine=True).double()
    theirs.load_state_dict(ours.state_dict())
    x = _image(batch)
    for a, b in zip(_gradients(ours, x), _gradients(theirs, x.contiguous()), strict=True):
        torch.testing.assert_close(a, b)


def test_instance_norm_keeps_the_memory_layout_of_its_input() -> None:
    layer = InstanceNorm(6).double()
    assert layer(_image(2)).is_contiguous(memory_format=torch.channels_last_3d)
    assert layer(_image(2).contiguous()).is_contiguous()


def test_batch_statistics_norm_ignores_its_running_statistics_at_evaluation() -> None:
    layer = BatchStatisticsNorm(6).double()
    x = _image(2)
    trained = layer(x)
    assert layer.num_batches_tracked == 1
    running = copy.deepcopy(layer.running_mean)
    torch.testing.assert_close(layer.eval()(x), trained)
    assert torch.equal(layer.running_mean, running)
    assert not torch.allclose(nn.BatchNorm3d(6).double().eval()(x), trained)


def test_batch_statistics_norm_of_one_patch_is_an_instance_norm() -> None:
    x = _image(1)
    torch.testing.assert_close(
        BatchStatisticsNorm(6).double().eval()(x), InstanceNorm(6).double()(x)
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("batch", nn.BatchNorm3d), ("group", nn.GroupNorm), ("none", nn.Identity)]
)
def test_a_name_gives_its_layer(name: str, kind: type) -> None:
    assert type(norm_layer(name, 16)) is kind


def test_batch_statistics_one_by_one_equal_patches_that_are_alone() -> None:
    norm = norm_layer("batch_statistics", 3).eval()
    x = torch.randn(4, 3, 5, 5, 5) * torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1, 1)
    alone = torch.cat([norm(patch) for patch in x.split(1)])
    together = norm(x)
    norm.one_by_one = True
    torch.testing.assert_close(norm(x), alone)
    assert not torch.allclose(together, alone)
