import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.paradigms.incontext import tyche, universeg
from fmtutor.paradigms.incontext.candidates import MeanCandidate, by_augmentation


def asked(grid=(16, 16), supports=5, batch=2):
    torch.manual_seed(0)
    images = torch.rand(batch, supports, 1, *grid, dtype=torch.float64)
    return torch.rand(batch, 1, *grid, dtype=torch.float64), images, (images > 0.6).double()


def network(dims=2):
    torch.manual_seed(1)
    model = tyche.Tyche((6, 6, 6), dims=dims).double()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


@pytest.mark.parametrize(("dims", "grid"), [(2, (16, 24)), (3, (8, 12, 4))])
@pytest.mark.parametrize("chunk", [1, 2, 8])
def test_the_fast_form_is_the_published_one(dims, grid, chunk):
    model, (query, images, masks) = network(dims), asked(grid)
    noise = torch.randn(2, 3, 1, *grid, dtype=torch.float64)
    fast = model(query, images, masks, noise=noise, chunk=chunk)
    plain = model.plain(query, images, masks, noise=noise)
    assert fast.shape == (2, 3, *grid)
    assert float(((fast - plain).abs().max() / plain.abs().max()).detach()) < 1e-12


def test_gradients_of_the_fast_form_are_those_of_the_published_one():
    model, (query, images, masks) = network(), asked()
    noise = torch.randn(2, 3, 1, 16, 16, dtype=torch.float64)
    grads = []
    for form in (model, model.plain):
        model.zero_grad()
        form(query, images, masks, noise=noise).square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1])
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(*grads, strict=True))


def test_candidates_are_told_apart_by_their_noise_alone():
    model, (query, images, masks) = network(), asked()
    noise = torch.randn(2, 4, 1, 16, 16, dtype=torch.float64)
    order = [2, 0, 3, 1]
    answered = model(query, images, masks, noise=noise)
    permuted = model(query, images, masks, noise=noise[:, order])
    assert torch.allclose(permuted, answered[:, order])
    alike = model(query, images, masks, noise=torch.zeros_like(noise))
    assert torch.allclose(alike, alike[:, :1].expand_as(alike))


def test_one_support_serves_several_queries():
    model, (query, images, masks) = network(), asked()
    noise = torch.randn(2, 3, 1, 16, 16, dtype=torch.float64)
    shared = model(query, images[:1], masks[:1], noise=noise)
    repeated = model(query, images[[0, 0]], masks[[0, 0]], noise=noise)
    assert torch.allclose(shared, repeated)


def test_the_published_size():
    model = tyche.build(tyche.Config.paper())
    assert sum(p.numel() for p in model.parameters()) == 1_774_785
    assert len(model.state_dict()) == 58


def test_the_mean_candidate_is_one_map_and_the_same_at_every_call():
    single, (query, images, masks) = MeanCandidate(network(), candidates=5), asked()
    first = single(query, images, masks)
    assert first.shape == query.shape
    assert torch.equal(first, single(query, images, masks))


def test_augmentation_makes_candidates_of_a_network_that_answers_once():
    torch.manual_seed(0)
    model = universeg.build(universeg.Config.tiny()).eval()
    query, images, masks = (x.float() for x in asked())
    made = [
        by_augmentation(model, query, images, masks, candidates=4, generator=rng_of(seed))
        for seed in (0, 0, 1)
    ]
    assert made[0].shape == (2, 4, 16, 16)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert torch.equal(made[0][:, 0], model(query, images, masks)[:, 0])
    assert len(np.unique(made[0][0, :, 8, 8].numpy())) == 4
