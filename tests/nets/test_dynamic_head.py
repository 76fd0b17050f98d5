"""The lean dynamic head equals the published form, in values and in gradients."""

import pytest
import torch
from torch import Tensor

from fmtutor.nets import dynamic_head as module
from fmtutor.nets.dynamic_head import HeadShape, dynamic_head, plain_dynamic_head


def inputs(heads: int, outputs: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    seeded = torch.Generator().manual_seed(heads)
    features = torch.randn(2, 8, 5, 4, 3, generator=seeded, dtype=dtype)
    count = HeadShape(outputs=outputs).count
    theta = torch.randn(2, heads, count, generator=seeded, dtype=dtype) * 0.4
    return features.requires_grad_(), theta.requires_grad_()


@pytest.fixture(params=[7, 1000], ids=["chunks", "whole"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.CHUNK, "cpu", request.param)


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(("heads", "outputs"), [(3, 1), (1, 2), (32, 1)])
def test_values_and_gradients_are_those_of_the_published_form(heads: int, outputs: int) -> None:
    features, theta = inputs(heads, outputs)
    shape = HeadShape(outputs=outputs)
    weight = torch.randn(2, heads * outputs, 5, 4, 3, dtype=torch.float64)
    results = []
    for form in (plain_dynamic_head, dynamic_head):
        logits = form(features, theta, shape=shape)
        gradients = torch.autograd.grad((logits * weight).sum(), (features, theta))
        results.append((logits, *gradients))
    for plain, lean in zip(*results, strict=True):
        torch.testing.assert_close(lean, plain, rtol=1e-10, atol=1e-12)


def test_channels_last_features_of_bf16_autocast_are_computed_in_float32() -> None:
    features, theta = inputs(3, 1, torch.float32)
    stored = features.detach().to(torch.bfloat16, memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = dynamic_head(stored, theta)
    torch.testing.assert_close(logits, plain_dynamic_head(stored.float(), theta))


def test_unknown_pairs_are_zero_pass_no_gradient_and_change_nothing_known() -> None:
    features, theta = inputs(4, 1)
    known = torch.tensor([[True, False, False, True], [False, False, False, False]])
    logits = dynamic_head(features, theta, known)
    every = plain_dynamic_head(features, theta)
    torch.testing.assert_close(logits[known], every[known])
    assert not logits[~known].any()
    weight = torch.randn(logits.shape, dtype=torch.float64)
    masked = weight * known[:, :, None, None, None]
    lean = torch.autograd.grad((logits * weight).sum(), (features, theta))
    plain = torch.autograd.grad((every * masked).sum(), (features, theta))
    torch.testing.assert_close(lean, plain, rtol=1e-10, atol=1e-12)
    assert not lean[1][~known].any()


def test_parameters_are_counted_as_published_and_weights_come_before_biases() -> None:
    assert HeadShape().count == 153
    assert HeadShape(outputs=2).count == 162
    weights, biases = HeadShape().split(torch.arange(153.0))
    assert [tuple(w.shape) for w in weights] == [(8, 8), (8, 8), (1, 8)]
    assert biases[0].tolist() == list(range(136, 144))
    assert biases[2].tolist() == [152]


def test_what_does_not_fit_is_one_clear_error() -> None:
    features, theta = inputs(3, 1)
    with pytest.raises(ValueError, match="153 parameters, got 152"):
        dynamic_head(features, theta[:, :, 1:])
    with pytest.raises(ValueError, match="reduce the features"):
        dynamic_head(features[:, :7], theta)
    with pytest.raises(ValueError, match="known must be"):
        dynamic_head(features, theta, torch.ones(2, 4, dtype=torch.bool))


def compare_fused(device: str) -> None:
    features, theta = (t.to(device) for t in inputs(3, 1, torch.float32))
    known = torch.tensor([[True, False, True], [True, True, True]], device=device)
    lean, fused = (dynamic_head(features, theta, known, fused=on) for on in (False, True))
    torch.testing.assert_close(fused, lean)
    gradients = [torch.autograd.grad(z.square().sum(), theta, retain_graph=True)[0]
                 for z in (lean, fused)]  # fmt: skip
    torch.testing.assert_close(*gradients)


@pytest.mark.slow
def test_the_fused_form_is_equal_too() -> None:
    compare_fused("cpu")


@pytest.mark.gpu
def test_the_fused_form_is_equal_on_a_gpu() -> None:
    compare_fused("cuda")
