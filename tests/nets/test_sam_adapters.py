"""SAM-Med2D's adapters beside every perceptron."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fmtutor.nets.sam import Sam, Shape
from fmtutor.nets.sam_adapters import GatedAdapter, add_gated_adapters
from tests.golden.recipe import filled, image

SHAPE = Shape(
    image=(24, 40), patch=4, features=16, depth=2, heads=2, window=4, global_blocks=(1,),
    prompt_features=16, decoder_heads=2, decoder_hidden=16, quality_hidden=8,
)  # fmt: skip


def filled_adapter(features: int, dims: int) -> GatedAdapter:
    adapter = GatedAdapter(features, dims)
    adapter.load_state_dict(filled(adapter.state_dict()))
    return adapter


@pytest.mark.parametrize("grid", [(4, 6), (2, 6, 4)])
def test_the_answer_is_a_normed_sum_of_the_tokens_and_what_is_around(grid: tuple[int, ...]) -> None:
    adapter, x = filled_adapter(8, len(grid)), image((2, *grid, 8))
    found = adapter(x)
    gate = adapter.channel(x.flatten(1, -2).mean(1))
    around = adapter.spatial((x * gate.reshape(2, *[1] * len(grid), 8)).movedim(-1, 1))
    assert found.shape == x.shape
    assert around.shape[2:] == grid
    assert torch.allclose(found, adapter.norm(x + around.movedim(1, -1)), atol=1e-6)


def test_the_gate_sees_the_mean_of_its_own_image_alone() -> None:
    adapter, x = filled_adapter(8, 2), image((2, 4, 6, 8))
    changed = torch.stack([x[0], x[1] + 1])
    assert torch.allclose(adapter(changed)[0], adapter(x)[0], atol=1e-6)


@pytest.mark.parametrize("grid", [(5, 4), (4, 4, 3)])
def test_an_odd_grid_is_refused(grid: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="even number of tokens"):
        GatedAdapter(8, len(grid))(image((1, *grid, 8)))


@pytest.mark.parametrize("sides", [(24, 40), (8, 16, 24)])
def test_every_block_gets_one_and_its_answer_changes(sides: tuple[int, ...]) -> None:
    model = Sam(replace(SHAPE, image=sides))
    given = image((1, 1, *sides))
    names = set(model.state_dict())
    before = model.embed(given).map
    adapters = add_gated_adapters(model.image_encoder)
    assert len(adapters) == 2
    assert [block.beside for block in model.image_encoder.blocks] == adapters
    new = set(model.state_dict()) - names
    assert len(new) == 2 * 6
    assert all(".beside." in name for name in new)
    after = model.embed(given).map
    assert after.shape == before.shape
    assert not torch.allclose(after, before, atol=1e-3)
    assert torch.allclose(model.embed(given, plain=True).map, after, atol=1e-4)


def test_a_second_adapter_in_the_same_place_is_refused() -> None:
    model = Sam(SHAPE)
    model.image_encoder.blocks[1].beside = nn.Linear(16, 16)
    with pytest.raises(ValueError, match="block 1 has Linear"):
        add_gated_adapters(model.image_encoder)
