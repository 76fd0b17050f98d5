"""Beginning from a general SAM: what fits is copied, what does not is named."""

from dataclasses import replace

import pytest
import torch

from fmtutor.nets.sam import Sam
from fmtutor.nets.sam_start import fitted_table, start_from
from fmtutor.paradigms.interactive.sizes import TINY


def test_a_network_of_the_same_shape_becomes_the_base_and_the_base_stays() -> None:
    base, model = Sam(TINY), Sam(TINY)
    start_from(model, base.state_dict())
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in base.state_dict().items())
    with torch.no_grad():
        model.image_encoder.patch_embed.weight.zero_()
    assert bool((base.image_encoder.patch_embed.weight != 0).any())


def test_places_are_interpolated_to_a_smaller_image() -> None:
    base, model = Sam(TINY), Sam(replace(TINY, image=(8, 8)))
    rows = torch.arange(4.0)[:, None, None].expand(4, 4, 32)
    base.image_encoder.pos_embed.data[0] = rows
    start_from(model, base)
    found = model.image_encoder.pos_embed[0, :, 0, 0]
    assert found.shape == (2,)
    assert float((found[1] - found[0]).detach()) == pytest.approx(2.0)
    model.embed(torch.rand(1, 1, 8, 8))


def test_a_table_keeps_its_middle_when_distances_become_fewer() -> None:
    table = torch.arange(-13.0, 14.0)[:, None]
    found = fitted_table(table, 15)[:, 0]
    assert float(found[7]) == pytest.approx(0.0, abs=1e-5)
    assert torch.allclose(found, -found.flip(0), atol=1e-5)
    assert bool((found.diff() > 0).all())


def test_what_is_named_new_keeps_its_first_values() -> None:
    base, model = Sam(TINY), Sam(TINY)
    before = model.mask_decoder.mask_tokens.detach().clone()
    start_from(model, base, new=("*mask_tokens",))
    assert torch.equal(model.mask_decoder.mask_tokens, before)


def test_missing_weights_are_named() -> None:
    state = Sam(TINY).state_dict()
    state.pop("prompt_encoder.no_mask")
    with pytest.raises(ValueError, match=r"prompt_encoder\.no_mask"):
        start_from(Sam(TINY), state)
