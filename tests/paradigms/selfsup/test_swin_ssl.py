"""What is particular to Swin UNETR's pre-training: its terms, and the way of the encoder."""

import pytest
import torch

from fmtutor.core.seeds import seed_everything
from fmtutor.data.pretext import PretextBatch
from fmtutor.nets.build import backbone
from fmtutor.nets.swin_unetr import SwinUnetr
from fmtutor.paradigms.selfsup import swin_ssl
from fmtutor.paradigms.selfsup.swin_ssl import Config, encoder_state, load_encoder


def tiny(**changes):
    seed_everything(0)
    return swin_ssl.build(Config.tiny(**changes))


def batch() -> PretextBatch:
    views = torch.rand(4, 1, 64, 32, 32, generator=torch.Generator().manual_seed(0))
    return PretextBatch(views=views, target=views, rotation=torch.tensor([0, 1, 2, 3]))


def test_the_encoder_goes_into_a_whole_network_of_its_sizes_and_nothing_else_moves():
    model, sizes = tiny(), {"window": 2, "depths": (1, 1, 1, 1)}
    whole = SwinUnetr(feature_size=12, **sizes)
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    state = encoder_state(model)
    load_encoder(whole, state)
    after = whole.state_dict()
    assert set(state) == {name for name in after if name.startswith("swinViT.")}
    assert all(torch.equal(after[name], state[name]) for name in state)
    assert all(torch.equal(after[n], before[n]) for n in set(after) - set(state))


def test_the_quick_encoder_fits_the_small_backbone_of_the_few_shot_family():
    model = swin_ssl.build(Config.quick())
    load_encoder(backbone("small_swin_unetr", (12,)), encoder_state(model))


def test_an_encoder_of_other_sizes_is_refused_with_the_whole_list():
    state = encoder_state(tiny())
    whole = SwinUnetr(feature_size=12, window=2)
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    name = "swinViT.layers1.0.blocks.0.mlp.linear1.weight"
    wrong = {**state, name: torch.zeros(2, 2), "swinViT.head": torch.zeros(1)}
    with pytest.raises(ValueError, match="every tensor of the backbone's swinViT") as error:
        load_encoder(whole, wrong)
    for part in ("missing: ", "layers1.0.blocks.1", "unexpected: swinViT.head", "is (2, 2), sh"):
        assert part in str(error.value)
    assert all(torch.equal(whole.state_dict()[n], before[n]) for n in before)


def test_the_state_is_a_copy_that_later_training_leaves_alone():
    model = tiny()
    state = encoder_state(model)
    with torch.no_grad():
        next(model.encoder.parameters()).add_(1.0)
    assert not all(torch.equal(state[n], t) for n, t in model.encoder.state_dict().items())


def test_heads_of_terms_without_weight_are_not_run():
    model = tiny(reconstruction_weight=0.0, rotation_weight=0.0)
    ran = []
    for name, head in model.heads.items():
        head.register_forward_hook(lambda *_, name=name: ran.append(name))
    with torch.no_grad():
        assert set(swin_ssl.losses(model, batch())) == {"contrast"}
    assert ran == ["contrast"]


def test_weights_scale_their_terms():
    plain, heavy = tiny(), tiny(rotation_weight=3.0)
    with torch.no_grad():
        terms = swin_ssl.losses(plain, batch())
        difference = swin_ssl.step(heavy, batch()) - swin_ssl.step(plain, batch())
    assert torch.allclose(difference, 2 * terms["rotation"], atol=1e-5)


def test_the_published_network_has_its_published_sizes():
    config = Config.paper()
    assert (config.feature_size, config.window, config.merging) == (48, 7, "legacy")
    assert config.views.axes == (1, 2)
    with torch.device("meta"):
        heads = [swin_ssl.TokenHead(768, n, token=0).linear for n in (4, 512)]
    assert [tuple(head.weight.shape) for head in heads] == [(4, 768), (512, 768)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch": (32, 32, 32)}, "two or more such blocks"),
        ({"patch": (48, 48, 32)}, "multiples of 32"),
        ({"patch": (64, 32, 32), "plane": "HW"}, "square there"),
        ({"batch": 1}, "batch must be at least 2"),
        ({"rotation_weight": -1.0}, "0 or more"),
        (
            {"rotation_weight": 0.0, "contrast_weight": 0.0, "reconstruction_weight": 0.0},
            "one above 0",
        ),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Config.quick(**changes)


def test_one_crop_is_enough_without_the_contrast():
    assert Config.quick(batch=1, contrast_weight=0.0).weights == {
        "rotation": 1.0,
        "reconstruction": 1.0,
    }
