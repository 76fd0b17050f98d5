import torch

from fmtutor.core.seeds import seed_everything
from fmtutor.data.regions import Protocol, Region
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.paradigms.partial.uniseg import Config, UniSeg, build, vocabulary
from fmtutor.paradigms.partial.uniseg_transfer import add_task, backbone_of, task_prompts

A = Protocol("a", (Region.of("liver"), Region.of("spleen")))
B = Protocol("b", (Region.of("colon"),))
IMAGE = torch.randn(1, 1, 16, 8, 8, generator=torch.Generator().manual_seed(1))


def small() -> UniSeg:
    seed_everything(0)
    config = Config(backbone="unet3d", channels=(4, 8, 8), patch=(16, 8, 8))
    return build(config.with_vocabulary(vocabulary([A, B])))


def test_task_prompts_are_what_the_decoder_is_given_and_leave_the_mode_as_it_was() -> None:
    model, given = small(), []
    model.backbone.decoder.register_forward_pre_hook(
        lambda _, inputs: given.append(inputs[0][-1][:, -1])
    )
    prompts = task_prompts(model, IMAGE)
    assert model.training
    assert prompts.shape == (2, 4, 2, 2)
    model(IMAGE, torch.tensor([1]))
    torch.testing.assert_close(prompts[1:] * model.config.prompt_scale, given[0])


def test_a_task_more_leaves_the_old_answers_and_adds_few_parameters() -> None:
    model = small().eval()
    wider, added = add_task(model, ("c/kidney",))
    wider.eval()
    assert wider.config.tasks[2] == ("c/kidney",)
    torch.testing.assert_close(wider(IMAGE)[:, :3], model(IMAGE))
    # a prompt channel, an input of FUSE's first layer, an output (with its norm) of its last
    width = model.prompt.fuse[0].conv.out_channels
    assert added == 4 * 2 * 2 + 27 * width + 27 * width + 2


def test_the_new_task_learns_its_prompt_and_its_weights_come_back_from_a_file(tmp_path) -> None:
    wider, _ = add_task(small(), ("c/kidney",))
    wider(IMAGE, torch.tensor([2])).square().sum().backward()
    assert bool((wider.prompt.fuse[0].conv.weight.grad[:, -1] != 0).any())
    assert bool((wider.prompt.fuse[2].conv.weight.grad[2] != 0).any())
    save_weights(wider, tmp_path / "wider.safetensors")
    again = build(wider.config)
    load_weights(again, tmp_path / "wider.safetensors")
    torch.testing.assert_close(again.eval()(IMAGE), wider.eval()(IMAGE))


def test_a_task_with_more_classes_than_any_before_widens_the_head() -> None:
    model = small().eval()
    wider, _ = add_task(model, ("c/x", "c/y", "c/z"), exclusive=False)
    assert wider.heads[0].out_channels == 4
    assert wider.eval()(IMAGE).shape[1] == 6
    torch.testing.assert_close(wider(IMAGE)[:, :3], model(IMAGE))


def test_the_backbone_for_another_use_has_all_weights_but_those_of_the_prompt() -> None:
    model = small().eval()
    plain = backbone_of(model).eval()
    ours, theirs = plain.state_dict(), model.backbone.state_dict()
    first = "decoder.ups.0.conv.weight"
    assert all(torch.equal(ours[key], theirs[key]) for key in ours if key != first)
    assert torch.equal(ours[first], theirs[first][:-1])  # a transposed convolution: inputs first
    features = model.backbone.encode(IMAGE)
    blank = torch.cat((features[-1], torch.zeros_like(features[-1][:, :1])), 1)
    torch.testing.assert_close(plain(IMAGE), model.backbone.decode([*features[:-1], blank])[0])
