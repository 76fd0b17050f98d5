import pytest
import torch

from fmtutor.nets.cheap_unets import half_unet3d
from fmtutor.nets.prior_network import (
    AskedTasks,
    ClassBias,
    FusedUNet,
    PriorNetwork,
    task_posteriors,
    task_priors,
)
from fmtutor.nets.unet3d import UNet3d

TASKS = (2, 3)
OPTIONS = {"modalities": 2, "modality_tokens": 2, "head_width": 8}


def _network(**changes: object) -> PriorNetwork:
    torch.manual_seed(0)
    unet = UNet3d(1, (8, 16, 16))
    given = {"modality_of_task": (0, 2), "blocks": (1, 1), **OPTIONS, **changes}
    return PriorNetwork(unet, TASKS, **given).eval()  # type: ignore[arg-type]


def test_a_mixed_batch_equals_its_samples_apart() -> None:
    model = _network()
    image, task = torch.randn(3, 1, 8, 8, 8), torch.tensor([1, 0, 1])
    together = model(image, task)
    apart = torch.cat([model(image[i : i + 1], task[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart, atol=2e-5, rtol=1e-4)


def test_only_the_channels_of_the_own_task_are_answered() -> None:
    out = _network()(torch.randn(2, 1, 8, 8, 8), torch.tensor([0, 1]))
    assert tuple(out.shape) == (2, sum(TASKS) + 2, 8, 8, 8)
    answered = out[:, : sum(TASKS)].flatten(2).abs().amax(2) > 0
    assert answered.tolist() == [[True, True, False, False, False], [False] * 2 + [True] * 3]
    modality = out[:, sum(TASKS) :].flatten(2)
    assert torch.equal(modality, modality[:, :, :1].expand_as(modality))


def test_tokens_of_other_tasks_have_no_influence() -> None:
    model, image, task = _network(), torch.randn(1, 1, 8, 8, 8), torch.tensor([0])
    before = model(image, task)
    with torch.no_grad():
        for place in model.unet.places:
            place.task_table[2:] += 10
    assert torch.equal(model(image, task), before)


def test_asking_tasks_equals_the_training_pass_whatever_else_is_asked() -> None:
    model, image = _network(), torch.randn(1, 1, 8, 8, 8)
    logits, posteriors = model.ask(image, (0, 1))
    torch.testing.assert_close(logits[:, :2], model(image, torch.tensor([0]))[:, :2])
    torch.testing.assert_close(logits[:, 2:], model(image, torch.tensor([1]))[:, 2:5])
    torch.testing.assert_close(AskedTasks(model, (1,), None)(image), logits[:, 2:])
    assert tuple(posteriors.shape) == (1, 5, 16 + 16 + 16)
    assert not torch.allclose(model.ask(image, (0,), modality=1)[0], logits[:, :2])


def test_without_exchanges_the_fused_u_net_is_the_u_net() -> None:
    torch.manual_seed(0)
    unet = half_unet3d(1, (8, 16, 16))
    fused = FusedUNet(unet, (0, 0), classes=2, **OPTIONS)
    image = torch.randn(1, 1, 16, 16, 16)
    features, _, _ = fused.fused(fused.shallow(image), torch.tensor([[0]]), torch.tensor([0]))
    resized = torch.nn.functional.interpolate(features, scale_factor=2.0, mode="trilinear")
    torch.testing.assert_close(resized, unet(image))


def test_resizing_logits_equals_resizing_features() -> None:
    torch.manual_seed(0)
    model = PriorNetwork(
        half_unet3d(1, (8, 16, 16)), TASKS, modality_of_task=(0, 2), blocks=(1, 1), **OPTIONS
    )
    image, tokens = torch.randn(1, 1, 16, 16, 16), torch.tensor([[0, 1]])
    features, posteriors, _ = model.unet.fused(model.unet.shallow(image), tokens, torch.tensor([0]))
    fine = torch.nn.functional.interpolate(features, scale_factor=2.0, mode="trilinear")
    torch.testing.assert_close(
        model.ask(image, (0,))[0], model.classifier(fine, posteriors, tokens), atol=1e-5, rtol=1e-4
    )


def test_the_published_places_have_the_published_widths() -> None:
    fused = FusedUNet(UNet3d(1, (32, 64, 128, 256, 320)), (2, 2, 4), classes=71, **OPTIONS)
    widths = [place.task_table.shape[1] for place in fused.places]
    assert widths == [128, 256, 320, 256, 128]
    assert [len(place.blocks) for place in fused.places] == [2, 2, 4, 2, 2]
    assert fused.token_width == 34 * 32


def test_more_fused_levels_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 2 levels"):
        FusedUNet(UNet3d(1, (8, 16)), (1, 1, 1), classes=2, **OPTIONS)


def test_a_class_starts_from_the_expected_probability() -> None:
    bias = ClassBias(2)
    bias.expect(0.05)
    assert bias(torch.tensor([[0, 1]])).sigmoid().tolist() == [[pytest.approx(0.05)] * 2]
    with pytest.raises(ValueError, match="share of voxels"):
        bias.expect(1.0)


def test_priors_are_joined_over_the_places_and_posteriors_have_seen_the_image() -> None:
    model = _network()
    priors = task_priors(model)
    assert tuple(priors.shape) == (5, 48)
    torch.testing.assert_close(priors[:, 16:32], model.unet.places[1].task_table[:5])
    first, second = (task_posteriors(model, torch.randn(1, 1, 8, 8, 8)) for _ in range(2))
    assert first.shape == priors.shape
    assert not torch.allclose(first, second)
