"""FacT: one change for all layers, zero at the start, its shared factors kept once."""

import copy

import torch
from torch import nn

from fmtutor.core.seeds import torch_rng
from fmtutor.nets.fact import add_factors
from fmtutor.nets.sam import Sam
from fmtutor.paradigms.interactive.sizes import TINY

IMAGE = torch.rand(1, 1, 16, 16, generator=torch_rng("fact"))


def encoders() -> tuple[nn.Module, nn.Module]:
    base = Sam(TINY).image_encoder.eval()
    changed = copy.deepcopy(base)
    add_factors(changed, 4)
    return base, changed.eval()


def test_it_begins_as_the_encoder_was() -> None:
    base, changed = encoders()
    assert torch.equal(changed(IMAGE)[0], base(IMAGE)[0])


def test_the_change_of_a_layer_is_v_s_u() -> None:
    base, changed = encoders()
    nn.init.normal_(changed.factors.v.weight)
    layer, before = changed.blocks[1].attn.qkv, base.blocks[1].attn.qkv
    x = torch.randn(5, 32, generator=torch_rng("x"))
    u, v = changed.factors.u.weight, changed.factors.v.weight
    wanted = [v @ s.weight @ u @ x.T for s in (layer.factor_q, layer.factor_v)]
    q, k, v_added = (layer(x) - before(x)).chunk(3, -1)
    assert torch.allclose(q, wanted[0].T, atol=1e-4)
    assert torch.allclose(v_added, wanted[1].T, atol=1e-4)
    assert bool((k == 0).all())


def test_shared_factors_are_kept_once_and_copies_share_their_own() -> None:
    _, changed = encoders()
    names = [name for name in changed.state_dict() if ".v." in name or "factors" in name]
    assert names == ["factors.u.weight", "factors.v.weight"]
    other = copy.deepcopy(changed)
    (shared,) = other.blocks[0].attn.qkv._shared
    assert shared is other.factors
    assert shared is not changed.factors
