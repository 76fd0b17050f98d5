"""UniverSeg's network: the fast form equals the published one, whatever the support looks like."""

import pytest
import torch
from torch import Tensor, nn

from fmtutor.paradigms.incontext.universeg import Config, UniverSeg, build

GRIDS = [(8, 12), (4, 8, 4)]


def network(dims: int = 2, *, activation: bool = False, levels: int = 3) -> UniverSeg:
    """Return a small network in float64 whose biases are not zero."""
    draw = torch.Generator().manual_seed(levels)
    model = UniverSeg((6, 5, 4)[:levels], dims=dims, activation=activation).double()
    for parameter in model.parameters():
        fan_in = max(1, parameter[0].numel())
        values = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        parameter.data = values * (2 / fan_in) ** 0.5
    return model


def episode(
    supports: int, grid: tuple[int, ...], *, batch: int = 2, shared: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Return query, support images and support masks in float64."""
    draw = torch.Generator().manual_seed(supports)
    many = (1 if shared else batch, supports, 1, *grid)
    query = torch.rand((batch, 1, *grid), generator=draw, dtype=torch.float64)
    images = torch.rand(many, generator=draw, dtype=torch.float64)
    return query, images, (torch.rand(many, generator=draw) > 0.5).double()


def relative(ours: Tensor, plain: Tensor) -> float:
    return float(((ours - plain).abs().max() / plain.abs().max()).detach())


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("supports", [1, 2, 9, 17])
def test_any_support_and_chunk_give_the_published_logits(
    supports: int, grid: tuple[int, ...], activation: bool
) -> None:
    model, given = network(len(grid), activation=activation), episode(supports, grid)
    with torch.no_grad():
        plain = model.plain(*given)
        assert plain.shape == given[0].shape
        for chunk in (1, 4, 8, 100):
            assert relative(model(*given, chunk=chunk), plain) < 1e-12


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("supports", [1, 5])
def test_gradients_are_those_of_the_published_form(supports: int, activation: bool) -> None:
    model, given = network(activation=activation), episode(supports, GRIDS[0])
    weight = torch.randn(given[0].shape, generator=torch.Generator().manual_seed(0))
    inputs = [value.requires_grad_() for value in given]
    found = []
    for form in (model.plain, model):
        loss = (form(*inputs) * weight).sum()
        found.append(torch.autograd.grad(loss, [*inputs, *model.parameters()], allow_unused=True))
    last = model.decoder[-1].support
    names = ["query", "images", "masks", *(name for name, _ in model.named_parameters())]
    for name, plain, fast in zip(names, *found, strict=True):
        if plain is None:  # the last block's supports go nowhere, in both forms
            assert fast is None
            assert dict(model.named_parameters())[name] in set(last.parameters())
        else:
            assert relative(fast, plain) < 1e-11, name


def test_in_single_precision_the_released_size_differs_by_rounding_alone() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(Config.gpu())
    given = [value.float() for value in episode(9, (32, 48), batch=1)]
    with torch.no_grad():
        assert relative(model(*given), model.plain(*given)) <= 5e-6
    assert sum(value.numel() for value in model.parameters()) == 1_182_785


@pytest.mark.parametrize("activation", [False, True])
def test_one_support_for_all_queries_equals_its_repetition(activation: bool) -> None:
    model = network(activation=activation)
    query, images, masks = episode(5, GRIDS[0], batch=3, shared=True)
    with torch.no_grad():
        repeated = [value.expand(3, -1, -1, -1, -1) for value in (images, masks)]
        plain = model.plain(query, *repeated)
        assert relative(model(query, images, masks), plain) < 1e-12
        assert relative(model(query, *repeated), plain) < 1e-12


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("supports", [1, 9])
def test_a_remembered_support_answers_query_after_query(supports: int, activation: bool) -> None:
    model = network(activation=activation)
    query, images, masks = episode(supports, GRIDS[0], batch=3, shared=True)
    with torch.no_grad():
        memory = model.remember(images, masks, chunk=4)
        for _ in range(2):  # nothing of the first round stays behind
            for one in query.split(1):
                plain = model.plain(one, images, masks)
                assert relative(model.answer(one, memory), plain) < 1e-12
        together = model.answer(query, memory)
        assert relative(together, model(query, images, masks)) < 1e-12


def test_the_order_of_the_supports_is_free_and_their_masks_are_not() -> None:
    model, (query, images, masks) = network(), episode(9, GRIDS[0])
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(query, images, masks)
        assert relative(model(query, images[:, order], masks[:, order]), logits) < 1e-12
        assert relative(model(query, images, masks[:, order]), logits) > 1e-6


def test_each_query_sees_its_own_support_alone() -> None:
    model, (query, images, masks) = network(), episode(3, GRIDS[0])
    with torch.no_grad():
        both = model(query, images, masks)
        alone = [model(query[b : b + 1], images[b : b + 1], masks[b : b + 1]) for b in range(2)]
    assert relative(torch.cat(alone), both) < 1e-12


def test_the_fast_form_leaves_its_inputs_as_they_are() -> None:
    model, given = network(), episode(5, GRIDS[0])
    before = [value.clone() for value in given]
    with torch.no_grad():
        model(*given)
        model.plain(*given)
    assert all(torch.equal(old, new) for old, new in zip(before, given, strict=True))


def test_papers_form_has_five_levels_and_the_activation() -> None:
    with torch.device("meta"):
        model: nn.Module = build(Config.paper())
    assert len(model.encoder) == 5
    assert all(block.cross.activation for block in (*model.encoder, *model.decoder))
    assert model.config == Config.paper()


@pytest.mark.parametrize(
    ("images", "masks"),
    [((1, 0, 1, 8, 8), (1, 0, 1, 8, 8)), ((1, 2, 1, 8, 8), (1, 3, 1, 8, 8))],
    ids=["no support", "a mask too many"],
)
def test_supports_that_do_not_fit_are_refused(
    images: tuple[int, ...], masks: tuple[int, ...]
) -> None:
    query = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    with pytest.raises(ValueError, match="S >= 1"):
        network()(query, torch.zeros(images).double(), torch.zeros(masks).double())
