"""The cross-convolution's fast forms equal the published one, in values and in gradients."""

import pytest
import torch
from torch import Tensor

from fmtutor.nets.cross_conv import ConvLayer, CrossConv, Joined, chunks, composed, each, pool

GRIDS = [(3, 3), (3, 7), (8, 5), (3, 3, 3), (4, 3, 6)]
"""Not square, and as small as `composed` allows: there every pixel is at a border."""


def seeded(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def drawn(module: torch.nn.Module) -> torch.nn.Module:
    """Draw weights and biases, so that a bias counted twice or left out shows."""
    for index, parameter in enumerate(module.parameters()):
        parameter.data = seeded(*parameter.shape, seed=index + 100)
    return module


def relative(ours: Tensor, plain: Tensor) -> float:
    return float(((ours - plain).abs().max() / plain.abs().max()).detach())


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_split_convolution_equals_the_published_one(
    grid: tuple[int, ...], activation: bool
) -> None:
    cross = drawn(CrossConv(3, 2, 4, dims=len(grid), activation=activation))
    query = seeded(2, 3, *grid).requires_grad_()
    support = seeded(2, 5, 2, *grid, seed=1).requires_grad_()
    weight = seeded(2, 5, 4, *grid, seed=2)
    found = []
    for form in (cross.plain, cross):
        z = form(query, support)
        inputs = (query, support, cross.weight, cross.bias)
        found.append((z.detach(), *torch.autograd.grad((z * weight).sum(), inputs)))
    for plain, fast in zip(*found, strict=True):
        assert relative(fast, plain) < 1e-13


def test_the_published_form_is_a_convolution_of_each_concatenated_pair() -> None:
    cross = drawn(CrossConv(3, 2, 4))
    query, support = seeded(2, 3, 6, 5), seeded(2, 3, 2, 6, 5, seed=1)
    z = cross.plain(query, support)
    for b in range(2):
        for s in range(3):
            pair = torch.cat([query[b], support[b, s]])[None]
            alone = torch.nn.functional.conv2d(pair, cross.weight, cross.bias, padding=1)
            torch.testing.assert_close(z[b, s], alone[0], rtol=1e-12, atol=1e-12)


def test_without_an_activation_the_mean_may_come_first() -> None:
    query, support = seeded(2, 3, 6, 5), seeded(2, 7, 2, 6, 5, seed=1)
    for activation, equal in ((False, True), (True, False)):
        cross = drawn(CrossConv(3, 2, 4, activation=activation))
        first = cross.of_query(query) + cross.of_support(support.mean(1))
        assert (relative(first, cross.plain(query, support).mean(1)) < 1e-13) == equal


@pytest.mark.parametrize("grid", GRIDS)
def test_two_convolutions_in_one_are_exact_up_to_the_border(grid: tuple[int, ...]) -> None:
    cross = drawn(CrossConv(3, 2, 4, dims=len(grid)))
    after = drawn(ConvLayer(4, 4, dims=len(grid)))
    support = seeded(2, 2, *grid).requires_grad_()
    weight = seeded(2, 4, *grid, seed=2)
    found = []
    for form in (lambda x: after.linear(cross.of_support(x)), lambda x: composed(cross, after, x)):
        out = form(support)
        inputs = (support, cross.weight, after.weight, after.bias)
        found.append((out.detach(), *torch.autograd.grad((out * weight).sum(), inputs)))
    for plain, fast in zip(*found, strict=True):
        assert relative(fast, plain) < 1e-13


def test_the_wide_kernel_alone_would_be_wrong_at_the_border() -> None:
    """The slabs of `composed` are needed: this is what they mend."""
    cross, after = drawn(CrossConv(3, 2, 4)), drawn(ConvLayer(4, 4))
    support = seeded(1, 2, 9, 9)
    inside = composed(cross, after, torch.nn.functional.pad(support, (2,) * 4))[..., 2:-2, 2:-2]
    plain = after.linear(cross.of_support(support))
    assert relative(inside[..., 1:-1, 1:-1], plain[..., 1:-1, 1:-1]) < 1e-13
    assert relative(inside, plain) > 1e-3


@pytest.mark.parametrize(("count", "size"), [(1, 8), (8, 8), (9, 8), (5, 1), (17, 4)])
def test_chunks_cover_every_support_once(count: int, size: int) -> None:
    parts = [list(range(count))[part] for part in chunks(count, size)]
    assert [index for part in parts for index in part] == list(range(count))
    assert all(1 <= len(part) <= size for part in parts)


def test_joined_supports_are_upsampled_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse, fine = [seeded(1, 2, 3, 4, 4)] * 2, [seeded(1, 2, 1, 8, 8)] * 2
    seen: list[Tensor] = []
    joined = Joined(coarse, fine)
    monkeypatch.setattr(
        "fmtutor.nets.cross_conv.upsample",
        lambda x: seen.append(x) or torch.nn.functional.interpolate(x, scale_factor=2),
    )
    assert len(joined) == 2
    assert not seen
    assert joined[1].shape == (1, 2, 4, 8, 8)
    assert len(seen) == 1


def test_a_last_odd_row_is_dropped_as_published() -> None:
    assert each(pool, seeded(1, 2, 3, 7, 6)).shape == (1, 2, 3, 3, 3)


def test_new_layers_start_with_kaiming_weights_and_no_bias() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [ConvLayer(64, 64), ConvLayer(64, 64, activation=False), CrossConv(64, 64, 64)]
    gains = [(2 / (1 + 0.01**2)) ** 0.5, 1.0, 1.0]
    for layer, gain in zip(layers, gains, strict=True):
        fan_in = layer.weight[0].numel()
        assert float(layer.weight.detach().std()) == pytest.approx(gain / fan_in**0.5, rel=0.03)
        assert not layer.bias.any()
