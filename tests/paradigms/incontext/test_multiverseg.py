"""MultiverSeg: the published network counted, its fast form exact, prompts seen, norms in place."""

import pytest
import torch

from fmtutor.core.ask import Support
from fmtutor.core.seeds import seed_everything, torch_rng
from fmtutor.data.episodes import Episodes
from fmtutor.engine.growing_context import segment_dataset
from fmtutor.paradigms.incontext.multiverseg import (
    PROMPTS,
    Config,
    MultiverSeg,
    NormedLayer,
    build,
    step,
)


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch_rng("multiverseg", *shape))


def episodes(count: int = 2, supports: int = 5, dims: int = 2, size: int = 8) -> Episodes:
    grid = (size,) * dims
    images = drawn(count, supports + 1, 1, *grid)
    masks = images > 0.6
    return Episodes(
        query=images[:, 0],
        target=masks[:, 0],
        support_images=images[:, 1:],
        support_masks=masks[:, 1:].float(),
        known=torch.ones(count, 1, dtype=torch.bool),
    )


def net(dims: int = 2, seed: int = 0) -> MultiverSeg:
    seed_everything(seed)
    return build(Config.tiny(features=(6, 4, 5), dims=dims))


def shown(batch: Episodes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return batch.query, batch.support_images, batch.support_masks


def test_the_published_network_has_18_9_million_parameters_in_five_and_two_channels():
    with torch.device("meta"):
        model = build(Config.paper())
    assert sum(p.numel() for p in model.parameters()) == 18_903_297
    assert model.encoder[0].cross.weight.shape == (256, 5 + 2, 3, 3)
    assert len(PROMPTS) == 4


@torch.no_grad()
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("chunk", [1, 2, 8])
def test_the_split_form_in_chunks_equals_the_pairwise_one(dims, chunk):
    model, batch = net(dims).double(), episodes(dims=dims)
    query, images, masks = (x.double() for x in shown(batch))
    prompts = drawn(2, 4, *query.shape[2:]).double()
    expected = model.plain(query, images, masks, prompts=prompts)
    found = model(query, images, masks, prompts=prompts, chunk=chunk)
    assert (found - expected).abs().max() < 1e-10 * expected.abs().max()


@torch.no_grad()
def test_a_remembered_support_gives_the_same_answer_to_all_queries():
    model, (query, images, masks) = net(), shown(episodes())
    memory = model.remember(images[:1], masks[:1], chunk=2)
    expected = model(query, images[:1].expand_as(images), masks[:1].expand_as(masks))
    torch.testing.assert_close(model.answer(query, memory), expected)


@torch.no_grad()
def test_without_prompts_their_channels_are_zero_and_each_prompt_is_seen():
    model, (query, images, masks) = net(), shown(episodes())
    plain = model(query, images, masks)
    silent = torch.zeros(2, 4, 8, 8)
    assert torch.equal(model(query, images, masks, prompts=silent), plain)
    for channel in range(4):
        prompts = silent.clone()
        prompts[:, channel, 2:4, 2:4] = 1
        assert (model(query, images, masks, prompts=prompts) - plain).abs().max() > 1e-4


@torch.no_grad()
def test_the_norm_comes_last_over_channels_and_pixels_of_each_map_alone():
    layer = NormedLayer(3, 6)
    x = 4 * drawn(5, 3, 8, 8) + 1
    out = layer(x)
    torch.testing.assert_close(out.mean((1, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((1, 2, 3), correction=0), torch.ones(5), atol=1e-3, rtol=0)
    torch.testing.assert_close(layer(x[:1]), out[:1])
    torch.testing.assert_close(layer.each(x[None])[0], out)


@torch.no_grad()
def test_the_order_of_the_support_does_not_count_and_its_masks_do():
    model, (query, images, masks) = net(), shown(episodes())
    expected = model(query, images, masks)
    back = model(query, images.flip(1), masks.flip(1))
    torch.testing.assert_close(back, expected, atol=1e-5, rtol=1e-4)
    assert (model(query, images, 1 - masks) - expected).abs().max() > 1e-3


def test_a_step_trains_everything_but_what_the_zero_prompts_and_the_dead_support_leave_out():
    model = net()
    step(model, episodes()).backward()
    still = {name for name, p in model.named_parameters() if p.grad is None}
    assert still == {
        f"decoder.1.support.{part}" for part in ("weight", "bias", "norm.weight", "norm.bias")
    }
    first = model.encoder[0].cross.weight.grad
    assert (first[:, 1:5] == 0).all()
    assert (first[:, [0, 5, 6]].abs().amax((0, 2, 3)) > 0).all()


def test_its_context_grows():
    images = [drawn(8, 8, 1)[..., 0].numpy() * 0.9 for _ in range(3)]
    start = Support((images[0],), (images[0] > 0.4,))
    steps = segment_dataset(net(), images, start, size=8, correct=lambda i, _: images[i] > 0.4)
    assert [done.support for done in steps] == [1, 2, 3]
