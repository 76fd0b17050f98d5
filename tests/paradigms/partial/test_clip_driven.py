"""CLIP-driven heads: text in, head out."""

import pytest
import torch

from fmtutor.nets.dynamic_head import plain_dynamic_head
from fmtutor.nets.text import load_bank
from fmtutor.paradigms.partial import clip_driven
from fmtutor.paradigms.partial.clip_driven import Config, add_classes, build, text_vectors

CLASSES = ("liver", "spleen", "kidney_left")


def tiny(**changes: object) -> clip_driven.ClipDriven:
    torch.manual_seed(0)
    return build(Config.tiny(**{"classes": CLASSES, "text": "minilm", **changes})).eval()


def test_logits_are_those_of_the_published_computation() -> None:
    """Concatenate image and text, one controller row per class, repeat the features, group."""
    model, image = tiny(), torch.randn(2, 1, 16, 16, 16)
    levels = model.backbone.encode(image)
    seen = model.pool(levels[-1]).flatten(1)
    said = model.text_to_vision(model.embedding).relu()
    pairs = torch.cat([seen[:, None].expand(-1, 3, -1), said[None].expand(2, -1, -1)], 2)
    features = model.reduce(model.backbone.decode(levels)[0])
    expected = plain_dynamic_head(features, model.controller(pairs))
    torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-5)


def test_the_text_part_is_kept_and_forgotten_when_a_weight_changes() -> None:
    model = tiny()
    with torch.no_grad():
        first = model.text_parameters()
        assert model.text_parameters() is first
        model.controller.weight.mul_(2)
        assert not torch.equal(model.text_parameters(), first)
    assert model.text_parameters().requires_grad  # and training never sees a kept one


def test_the_published_size_has_the_published_parameters() -> None:
    """408,705 beyond the backbone: controller, text projection, pooling, reduction."""
    swin = torch.nn.Module()  # of Swin UNETR-48, these two numbers are all that counts here
    swin.out_channels, swin.bottleneck_channels = 48, 768
    model = clip_driven.ClipDriven(swin, torch.zeros(32, 512), vision_size=256)
    parts = (model.controller, model.text_to_vision, model.pool, model.reduce)
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [
        78_489, 131_328, 198_400, 488]  # fmt: skip


def test_a_class_is_added_by_its_name_without_a_parameter() -> None:
    model, image = tiny(), torch.randn(1, 1, 16, 16, 16)
    wider = add_classes(model, ["hip_left", "sacrum"])
    assert wider.config.classes == (*CLASSES, "hip_left", "sacrum")
    assert sum(p.numel() for p in wider.parameters()) == sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        torch.testing.assert_close(wider(image)[:, :3], model(image))
    with pytest.raises(ValueError, match="must be new"):
        add_classes(model, ["liver"])


@pytest.mark.parametrize("text", ["minilm", "one_hot", "random", "shuffled"])
def test_the_vector_of_a_class_does_not_depend_on_its_companions(text: str) -> None:
    few = text_vectors(Config.tiny(classes=CLASSES, text=text))
    more = text_vectors(Config.tiny(classes=(*CLASSES, "aorta"), text=text))
    torch.testing.assert_close(more[:3], few)


def test_controls_mean_nothing_or_the_wrong_thing() -> None:
    vectors = {
        text: text_vectors(Config.tiny(classes=CLASSES, text=text, text_size=64))
        for text in ("one_hot", "random", "minilm", "shuffled")
    }
    for text in ("one_hot", "random"):
        gram = vectors[text] @ vectors[text].T
        torch.testing.assert_close(gram, 64 * torch.eye(3), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(vectors["shuffled"], vectors["minilm"])
    assert vectors["minilm"].norm(dim=1).mean() == pytest.approx(384**0.5, rel=0.05)


def test_wrong_names_and_empty_lists_are_one_clear_error_each() -> None:
    with pytest.raises(ValueError, match=r"missing: lever \(near: .*liver"):
        tiny(classes=("lever",))
    with pytest.raises(ValueError, match="at least one class, got none"):
        tiny(classes=())
    with pytest.raises(ValueError, match="tells text_size = 2 classes apart"):
        tiny(text="one_hot", text_size=2)


def test_a_bank_of_another_class_set_is_one_clear_error(tmp_path) -> None:
    from fmtutor.nets.text import save_bank

    save_bank(load_bank("minilm").only(("aorta", "spleen")), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"every class needs a row.*missing: liver"):
        tiny(text=str(tmp_path / "other.safetensors"))


def test_published_and_quick_losses_differ_in_dice() -> None:
    assert Config.paper().dice == "slice"
    assert not Config.paper().present_only
    assert len(Config.paper().classes) == 32
