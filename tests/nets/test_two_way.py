"""The two-way transformer: what reads what, and that places reach queries and keys alone."""

import math

import torch
from torch import Tensor, nn

from fmtutor.nets.two_way import CrossAttention, TwoWayLayer, TwoWayTransformer
from tests.golden.recipe import drawn


def with_values(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(drawn(name, value.shape))
    return module.double().eval()


def rows(name: str, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(len(name))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_attention_is_that_of_torch_on_the_same_projections() -> None:
    ours = with_values(CrossAttention(8, 2, width=8))
    theirs = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    parts = [ours.q_proj, ours.k_proj, ours.v_proj]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    q, k, v = rows("q", 2, 3, 8), rows("key", 2, 5, 8), rows("value", 2, 5, 8)
    assert torch.allclose(ours(q, k, v), theirs(q, k, v, need_weights=False)[0], atol=1e-12)


def test_attention_at_half_width_scales_by_the_width_of_a_head() -> None:
    ours = with_values(CrossAttention(8, 1, width=4))
    q, k = rows("q", 1, 2, 8), rows("key", 1, 3, 8)
    logits = ours.q_proj(q) @ ours.k_proj(k).transpose(1, 2) / math.sqrt(4)
    expected = ours.out_proj(logits.softmax(-1) @ ours.v_proj(k))
    assert torch.allclose(ours(q, k, k), expected, atol=1e-12)


def test_the_first_layer_takes_the_tokens_as_their_own_places() -> None:
    """With no places and a dumb self-attention, the first layer forgets its tokens."""
    image, other = rows("image", 1, 5, 8), rows("place", 1, 3, 8)
    tokens = rows("tokens", 1, 3, 8)
    nowhere = torch.zeros_like(tokens), torch.zeros_like(image)
    moved = {}
    for first in (True, False):
        layer = with_values(TwoWayLayer(8, 2, 16, first=first))
        nn.init.zeros_(layer.self_attn.out_proj.weight)
        found = [layer(given, image, *nowhere)[0] for given in (tokens, other)]
        moved[first] = not torch.allclose(found[0], found[1], atol=1e-9)
    assert moved == {True: False, False: True}


def test_tokens_and_image_may_be_reordered() -> None:
    model = with_values(TwoWayTransformer(8, heads=2, hidden=16))
    tokens, image, place = rows("tokens", 2, 4, 8), rows("image", 2, 6, 8), rows("place", 1, 6, 8)
    found, seen = model(tokens, image, place)
    order, cells = [2, 0, 3, 1], [5, 3, 0, 1, 4, 2]
    turned, moved = model(tokens[:, order], image[:, cells], place[:, cells])
    assert torch.allclose(turned, found[:, order], atol=1e-12)
    assert torch.allclose(moved, seen[:, cells], atol=1e-12)


def test_places_of_the_image_matter_and_are_not_added_to_it() -> None:
    model = with_values(TwoWayTransformer(8, heads=2, hidden=16))
    tokens, image, place = rows("tokens", 1, 4, 8), rows("image", 1, 6, 8), rows("place", 1, 6, 8)
    assert not torch.allclose(model(tokens, image, place)[0], model(tokens, image, 0 * place)[0])
    # Equal cells at different places: were places added to values, the tokens' answer would
    # depend on them; a mean of equal values does not.
    attention = model.final_attn_token_to_image
    same = image[:, :1].expand(-1, 6, -1)
    near, far = (attention(tokens, same + p, same) for p in (place, 3 * place))
    assert torch.allclose(near, far, atol=1e-12)


def test_every_parameter_gets_a_gradient() -> None:
    model = with_values(TwoWayTransformer(8, heads=2, hidden=16))
    tokens, image = model(rows("tokens", 1, 4, 8), rows("image", 1, 6, 8), rows("place", 1, 6, 8))
    ((tokens**2 * rows("weight", 1, 4, 8)).sum() + (image**3).sum()).backward()
    idle = [
        name
        for name, value in model.named_parameters()
        if value.grad is None or not bool(value.grad.abs().max() > 1e-9)
    ]
    assert all(name.endswith("k_proj.bias") for name in idle)  # softmax ignores a common shift


def test_each_row_of_a_batch_is_answered_alone() -> None:
    model = with_values(TwoWayTransformer(8, heads=2, hidden=16))
    tokens, image, place = rows("tokens", 3, 4, 8), rows("image", 3, 6, 8), rows("place", 1, 6, 8)
    whole = model(tokens, image, place)
    for row in range(3):
        alone = model(tokens[row : row + 1], image[row : row + 1], place)
        assert torch.allclose(whole[0][row], alone[0][0], atol=1e-12)
        assert torch.allclose(whole[1][row], alone[1][0], atol=1e-12)
