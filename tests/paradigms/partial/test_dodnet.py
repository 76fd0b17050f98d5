"""DoDNet: a one-hot task and the image write the head."""

import pytest
import torch

from fmtutor.data.regions import Protocol, Region
from fmtutor.nets.dynamic_head import plain_dynamic_head
from fmtutor.paradigms.partial import dodnet
from fmtutor.paradigms.partial.dodnet import Config, build

PROTOCOLS = (
    Protocol("a", (Region.of("liver"), Region.of("liver_lesion"))),
    Protocol("b", (Region.of("spleen"),)),
    Protocol("c", (Region.of("aorta"),)),
)


def tiny() -> dodnet.DodNet:
    torch.manual_seed(0)
    return build(Config.tiny().with_vocabulary(dodnet.vocabulary(PROTOCOLS))).eval()


def test_logits_are_those_of_the_published_computation() -> None:
    """Concatenate the pooled image and a one-hot task, convolve with what comes out."""
    model, image = tiny(), torch.randn(2, 1, 16, 16, 16)
    levels = model.backbone.encode(image)
    seen = model.pool(levels[-1]).flatten(1)
    features = model.reduce(model.backbone.decode(levels)[0])
    task = torch.tensor([0, 2])
    read = torch.cat([seen, torch.nn.functional.one_hot(task, 3)], 1)
    image_part, columns = model.controller.image, model.controller.task.weight
    weight = torch.cat([image_part.weight, columns.T], 1)
    theta = torch.nn.functional.linear(read, weight, image_part.bias)
    expected = plain_dynamic_head(features, theta[:, None], shape=model.shape)
    logits = model(image, task)
    torch.testing.assert_close(logits[0, :2], expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits[1, 3], expected[1, 0], rtol=1e-4, atol=1e-5)
    assert not logits[0, 2:].any()
    assert not logits[1, :3].any()


def test_all_tasks_at_once_answer_as_each_alone() -> None:
    model, image = tiny(), torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        every = model(image)
        apart = sum(model(image, torch.tensor([task])) for task in range(3))
    torch.testing.assert_close(every, apart)


def test_the_published_controller_has_162_outputs_and_seven_tasks() -> None:
    config = Config.paper()
    assert config.outputs == 2
    assert len(config.classes) == 14
    controller = dodnet.TaskController(256, 7, dodnet.HeadShape(outputs=2))
    assert sum(p.numel() for p in controller.parameters()) == 162 * (256 + 7) + 162


def test_a_new_task_costs_one_column_of_the_controller() -> None:
    sizes = []
    for protocols in (PROTOCOLS[:2], PROTOCOLS):
        model = build(Config.tiny().with_vocabulary(dodnet.vocabulary(protocols)))
        sizes.append(sum(p.numel() for p in model.parameters()))
    assert sizes[1] - sizes[0] == dodnet.HeadShape(outputs=2).count


def test_no_tasks_and_a_shared_vocabulary_are_one_clear_error_each() -> None:
    with pytest.raises(ValueError, match="DoDNet needs tasks"):
        build(Config())
    with pytest.raises(ValueError, match="one channel per protocol"):
        Config.tiny().with_vocabulary(dodnet.Vocabulary.shared(PROTOCOLS))
