"""Inference in context, with a network whose answer can be told by hand."""

from inspect import unwrap

import pytest
import torch
from torch import nn

from fmtutor.core.seeds import rng, torch_rng
from fmtutor.engine.in_context import compete, ensemble, evaluating, probabilities


class BrighterThanShown(nn.Module):
    """Logit: the query minus the mean brightness inside the masks; it notes how it was called."""

    def __init__(self, candidates: int = 1):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.candidates, self.calls, self.modes = candidates, [], []

    def forward(self, query, support_images, support_masks, *, chunk=8):
        axes = tuple(range(1, support_images.dim()))
        inside = (support_images * support_masks).sum(axes) / support_masks.sum(axes)
        self.calls.append(tuple(support_images.shape[:2]))
        self.modes.append(self.training)
        shift = torch.arange(self.candidates).view(1, -1, *(1,) * (query.dim() - 2))
        return (query - inside.view(-1, *(1,) * (query.dim() - 1))) * self.scale + shift


class Convolved(nn.Module):
    """One convolution over the query and the mean of the support."""

    def __init__(self, dims: int = 2):
        super().__init__()
        self.layer = {2: nn.Conv2d, 3: nn.Conv3d}[dims](3, 1, 3, padding=1)

    def forward(self, query, support_images, support_masks, *, chunk=8):
        return self.answer(query, self.remember(support_images, support_masks))

    def remember(self, images, masks):
        return torch.cat([images, masks], 2).mean(1)

    def answer(self, query, memory):
        return self.layer(torch.cat([query, memory.expand(len(query), *memory.shape[1:])], 1))


class Remembering(BrighterThanShown):
    """The same, with the support looked at in advance."""

    def __init__(self):
        super().__init__()
        self.looks, self.answers = 0, 0

    def remember(self, images, masks):
        self.looks += 1
        return images, masks

    def answer(self, query, memory):
        self.answers += 1
        return super().forward(query, *memory)


def pairs(count: int, size: int = 8, dims: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch_rng("pairs", count, dims)
    images = torch.rand((count, 1, *(size,) * dims), generator=draw)
    return images, images > 0.6


@pytest.mark.parametrize("dims", [2, 3])
def test_queries_in_batches_get_the_answer_that_each_gets_alone(dims):
    model = Convolved(dims)
    queries, support = pairs(5, dims=dims)[0], pairs(3, dims=dims)
    together = probabilities(model, queries, *support)
    assert together.shape == (5, *(8,) * dims)
    in_batches = probabilities(model, queries, *support, batch=2)
    torch.testing.assert_close(in_batches, together)
    alone = [model(query[None], support[0][None], support[1][None].float()) for query in queries]
    torch.testing.assert_close(together, torch.cat(alone)[:, 0].sigmoid().detach())


def test_a_support_is_looked_at_once_for_all_batches_and_not_kept_for_one():
    model, queries, support = Remembering(), pairs(9)[0], pairs(3)
    probabilities(model, queries, *support, batch=4)
    assert (model.looks, model.answers) == (1, 3)
    probabilities(model, queries, *support, batch=9)
    assert (model.looks, model.answers, len(model.calls)) == (1, 3, 4)


def test_of_several_candidates_the_mean_probability_counts():
    queries, support = pairs(2)[0], pairs(3)
    model = BrighterThanShown(candidates=3)
    logits = model(queries, support[0][None], support[1][None].float()).detach()
    expected = logits.sigmoid().mean(1)
    torch.testing.assert_close(probabilities(model, queries, *support), expected)


@pytest.mark.parametrize("training", [True, False])
def test_it_evaluates_without_gradients_and_the_mode_comes_back(training):
    model = BrighterThanShown().train(training)
    answer = probabilities(model, pairs(2)[0], *pairs(3))
    assert model.modes == [False]
    assert model.training is training
    assert not answer.requires_grad
    with pytest.raises(RuntimeError, match="lost"), evaluating(model):
        raise RuntimeError("lost")
    assert model.training is training


def test_bf16_is_close_but_another_computation():
    model, queries, support = Convolved(), pairs(4)[0], pairs(3)
    exact = probabilities(model, queries, *support, precision="fp32")
    for batch in (1, 4):  # remembered, and not
        rough = probabilities(model, queries, *support, precision="bf16", batch=batch)
        assert rough.dtype == torch.float32
        assert 0 < (rough - exact).abs().max() < 0.05


def test_a_mask_without_an_image_and_another_grid_are_refused():
    model, (images, masks) = BrighterThanShown(), pairs(3)
    with pytest.raises(ValueError, match=r"one mask for each image, got \(3, .* and \(2, "):
        unwrap(probabilities)(model, images, images, masks[:2])
    with pytest.raises(ValueError, match="at least one pair"):
        probabilities(model, images, images[:0], masks[:0])
    with pytest.raises(ValueError, match=r"share a grid, got \(1, 4, 8\) and \(1, 8, 8\)"):
        unwrap(probabilities)(model, images[..., :4, :], images, masks)


def test_an_ensemble_shows_each_member_its_own_draw_and_reports_their_spread():
    model, queries, pool = BrighterThanShown(), pairs(2)[0], pairs(20)
    found = ensemble(model, queries, *pool, support=3, members=5, generator=rng(0))
    assert model.calls == [(2, 3)] * 5
    assert found.members.shape == (5, 2, 8, 8)
    torch.testing.assert_close(found.mean, found.members.mean(0))
    spread = ((found.members - found.mean) ** 2).mean(0)
    torch.testing.assert_close(found.variance, spread)
    assert found.variance.max() > 1e-4, "the draws differ"
    again = ensemble(model, queries, *pool, support=3, members=5, generator=rng(0))
    assert torch.equal(again.members, found.members)


def test_an_ensemble_of_the_whole_pool_has_no_spread():
    model, queries, pool = BrighterThanShown(), pairs(2)[0], pairs(6)
    found = ensemble(model, queries, *pool, support=6, members=3, generator=rng(0))
    assert found.variance.max() < 1e-10
    torch.testing.assert_close(found.mean, probabilities(model, queries, *pool))


def test_an_ensemble_needs_members_and_a_pool_that_is_large_enough():
    model, queries, pool = BrighterThanShown(), pairs(2)[0], pairs(6)
    with pytest.raises(ValueError, match="at least one member, got 0"):
        ensemble(model, queries, *pool, support=2, members=0, generator=rng(0))
    with pytest.raises(ValueError, match="all of the 6 examples of its pool, got count 7"):
        ensemble(model, queries, *pool, support=7, generator=rng(0))


def test_the_most_probable_class_wins_where_it_exceeds_the_threshold():
    maps = {
        "a": torch.tensor([[0.9, 0.6, 0.5, 0.7]]),
        "b": torch.tensor([[0.8, 0.7, 0.5, 0.7]]),
    }
    labels, names = compete(maps)
    assert names == ("background", "a", "b")
    assert labels.tolist() == [[1, 2, 0, 1]]
    assert compete(maps, threshold=0.75)[0].tolist() == [[1, 0, 0, 0]]


def test_no_class_and_a_class_called_background_are_refused():
    with pytest.raises(ValueError, match=r"give one map for each class and none for it"):
        compete({})
    with pytest.raises(ValueError, match="which comes by itself"):
        compete({"background": torch.zeros(1, 4)})
