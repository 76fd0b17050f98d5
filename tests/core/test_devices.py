import pytest
import torch
from torch import nn

from fmtutor.core.devices import (
    autocast,
    autocast_dtype,
    best_device,
    has_fast_bf16,
    use_channels_last,
)


def test_auto_is_fp32_on_a_cpu_and_a_choice_is_taken_as_it_is():
    assert autocast_dtype("auto", "cpu") is None
    assert autocast_dtype("fp32", "cpu") is None
    assert autocast_dtype("bf16", "cpu") is torch.bfloat16


def test_fast_is_bf16_only_where_the_hardware_has_it():
    expected = torch.bfloat16 if has_fast_bf16("cpu") else None
    assert autocast_dtype("fast", "cpu") is expected


@pytest.mark.gpu
def test_auto_is_bf16_on_a_gpu_that_has_it():
    assert best_device().type == "cuda"
    expected = torch.bfloat16 if has_fast_bf16("cuda") else None
    assert autocast_dtype("auto", "cuda") is expected


def test_an_unknown_precision_is_refused():
    with pytest.raises((ValueError, TypeError), match="fp8"):
        autocast_dtype("fp8", "cpu")


def test_convolutions_run_in_bf16_under_autocast_only():
    layer = nn.Conv3d(1, 2, 3)
    image = torch.rand(1, 1, 6, 5, 4)
    with autocast("bf16", "cpu"):
        assert layer(image).dtype is torch.bfloat16
    with autocast("fp32", "cpu"):
        assert layer(image).dtype is torch.float32


def test_the_answer_about_bf16_is_a_bool_everywhere():
    assert has_fast_bf16("cpu") in (True, False)
    if not torch.cuda.is_available():
        assert not has_fast_bf16("cuda")
        assert best_device() == torch.device("cpu")


def test_channels_last_moves_no_value_and_copes_with_2d_weights():
    model = nn.ModuleList([nn.Conv3d(4, 8, 3), nn.Conv2d(4, 8, 3), nn.Linear(3, 3)])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    use_channels_last(model)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
