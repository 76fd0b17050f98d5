import pytest
import torch
from torch import Tensor

from fmtutor.core.ask import Classes
from fmtutor.core.seeds import seed_everything
from fmtutor.data.batches import Batch
from fmtutor.data.regions import Protocol, Region
from fmtutor.nets.unet3d import ConvBlock
from fmtutor.paradigms.partial import uniseg
from fmtutor.paradigms.partial.uniseg import Config, UniSeg, build, step, vocabulary
from tests.contracts.test_contracts import phantom

NESTED = Protocol("nested", (Region.of("liver", "liver", "lesion"), Region.of("lesion")))
APART = Protocol("apart", (Region.of("spleen"), Region.of("liver"), Region.of("colon")))


def small(**changes: object) -> UniSeg:
    seed_everything(0)
    net = {"backbone": "unet3d", "channels": (4, 8, 8), "patch": (16, 8, 8)}
    config = Config(**{**net, **changes})  # type: ignore[arg-type]
    return build(config.with_vocabulary(vocabulary([NESTED, APART])))


def image(count: int = 1) -> Tensor:
    return torch.randn(count, 1, 16, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_output_has_the_classes_of_the_samples_task_alone() -> None:
    out = small()(image(2), torch.tensor([1, 0]))
    used = out.abs().amax((2, 3, 4)) > 0
    assert used.tolist() == [[False, False, True, True, True], [True, True, False, False, False]]


def test_tasks_share_every_weight_and_differ_by_their_prompt_channel() -> None:
    model = small().eval()
    out = model(image().repeat(2, 1, 1, 1, 1), torch.tensor([0, 1]))
    same = out[0, [1, 0]], out[1, 2:4]  # lesion and spleen read one output, the livers another
    assert not torch.allclose(*same)
    with torch.no_grad():  # give both tasks the same prompt: then they say the same
        last = model.prompt.fuse[2]
        for values in (last.conv.weight, last.norm.weight, last.norm.bias):
            values[1] = values[0]
    out = model(image().repeat(2, 1, 1, 1, 1), torch.tensor([0, 1]))
    torch.testing.assert_close(out[0, [1, 0]], out[1, 2:4])


def test_the_prompt_of_another_task_gets_no_gradient_in_the_last_layer_of_fuse() -> None:
    model = small()
    model(image(), torch.tensor([1])).square().sum().backward()
    gradient = model.prompt.fuse[2].conv.weight.grad.abs().amax((1, 2, 3, 4))
    assert gradient[0] == 0
    assert gradient[1] > 0
    assert bool((model.prompt.volume.grad != 0).any((0, 2, 3, 4)).all()), "P is read as a whole"


def test_a_mixed_batch_is_answered_as_each_sample_alone() -> None:
    model, images, task = small(), image(3), torch.tensor([1, 0, 1])
    alone = [model(images[i : i + 1], task[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(model(images, task), torch.cat(alone))


def test_encoder_and_fuse_run_once_for_all_tasks_and_the_decoder_once_for_each() -> None:
    model, calls = small().eval(), []
    for part in ("backbone.encoder", "prompt.fuse", "backbone.decoder"):
        module = model.get_submodule(part)
        module.register_forward_hook(lambda *_, part=part: calls.append(part))
    model(image())
    assert calls == ["backbone.encoder", "prompt.fuse", *["backbone.decoder"] * 2]


def test_a_named_task_is_decoded_alone_when_predicting() -> None:
    model, calls = small(patch=(16, 16, 16)), []
    model.backbone.decoder.register_forward_hook(lambda *_: calls.append(1))
    case = phantom((16, 16, 16), (3.0, 3.0, 3.0))
    for name, decoded in (("apart/spleen", 1), ("lesion", 1), ("liver", 2)):
        calls.clear()
        prediction = uniseg.predict(model, case, Classes((name,)))
        assert prediction.names == (name,)
        assert len(calls) == decoded, name


def test_the_answer_of_a_softmax_task_is_its_softmax_with_the_background() -> None:
    model = small().eval()
    relative = model(image(), torch.tensor([1]))[:, 2:]
    softmax = torch.cat((torch.zeros_like(relative[:, :1]), relative), 1).softmax(1)[:, 1:]
    torch.testing.assert_close(model(image())[:, 2:].sigmoid(), softmax)
    torch.testing.assert_close(model(image())[:, :2], model(image(), torch.tensor([0]))[:, :2])


def test_another_size_than_the_patch_is_one_clear_error() -> None:
    with pytest.raises(ValueError, match=r"\(16, 8, 8\) voxels of the patch.*\(16, 16, 8\)"):
        small()(torch.zeros(1, 1, 16, 16, 8))
    with pytest.raises(ValueError, match=r"multiples of \(4, 4, 4\), not \(16, 8, 6\)"):
        small(patch=(16, 8, 6))


def test_a_backbone_that_takes_no_prompt_and_no_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'segresnet'.*half_unet3d"):
        small(backbone="segresnet", channels=(8,))
    with pytest.raises(ValueError, match="needs tasks"):
        build(Config())


def test_deep_supervision_has_a_loss_at_every_level_but_the_deepest() -> None:
    model = small(channels=(4, 8, 8, 8), patch=(16, 8, 8), deep_supervision=True)
    batch = Batch(
        image=image(2),
        target=torch.zeros(2, 5, 16, 8, 8, dtype=torch.bool),
        known=torch.tensor([[True] * 2 + [False] * 3, [False] * 2 + [True] * 3]),
        task=torch.tensor([0, 1]),
    )
    maps = model(batch.image, batch.task)
    assert [tuple(z.shape[1:]) for z in maps] == [(5, 16, 8, 8), (5, 8, 4, 4)]
    step(model, batch).backward()
    assert all(bool((head.weight.grad != 0).any()) for head in model.heads)
    assert model.eval()(batch.image, batch.task).shape == (2, 5, 16, 8, 8)


def test_the_published_network_has_the_published_prompt_and_fuse() -> None:
    config = Config.paper()
    assert [len(names) for names in config.tasks] == [2, 2, 2, 2, 1, 1, 1, 1, 1, 3, 1]
    assert all(config.exclusive)
    assert config.outputs == tuple(tuple(range(len(names))) for names in config.tasks)
    with torch.device("meta"):
        model = build(config)
    assert model.prompt.volume.shape == (1, 11, 6, 6, 4)
    blocks = [m.conv for m in model.prompt.fuse if isinstance(m, ConvBlock)]
    assert [(c.in_channels, c.out_channels) for c in blocks] == [(331, 82), (82, 82), (82, 11)]
    assert model.backbone.decoder.ups[0].conv.in_channels == 321
    assert model.heads[0].out_channels == 4
