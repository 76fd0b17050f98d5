from dataclasses import replace

import numpy as np
import pytest
import torch

from fmtutor.core.ask import Classes
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.regions import Protocol, Region, Vocabulary
from fmtutor.paradigms.partial import hermes
from fmtutor.paradigms.partial.hermes import Config, add_task, build, predict, step

CONFIG = Config.tiny(
    tasks=(("liver_unit/liver", "liver_unit/liver_lesion"), ("survey/liver",)),
    modality_of_task=("CT portal", ""),
)


def _model(config: Config = CONFIG) -> hermes.PriorNetwork:
    torch.manual_seed(0)
    return build(config)


def _batch(tasks: list[int]) -> Batch:
    generator = torch.Generator().manual_seed(1)
    shape = (len(tasks), 3, 16, 16, 16)
    return Batch(
        image=torch.randn(len(tasks), 1, 16, 16, 16, generator=generator),
        target=torch.rand(shape, generator=generator) > 0.7,
        known=torch.tensor([[task == 0] * 2 + [task == 1] for task in tasks]),
        task=torch.tensor(tasks),
    )


def _case() -> Case:
    image = np.random.default_rng(0).normal(0, 100, (16, 16, 16)).astype(np.float32)
    return Case(name="noise", image=image, affine=np.diag((3.0, 3.0, 3.0, 1.0)))


def test_the_loss_of_a_mixed_batch_is_that_of_its_samples() -> None:
    model, batch = _model(), _batch([0, 1])
    apart = [
        Batch(**{k: v[i : i + 1] for k, v in vars(batch).items()}) for i in range(len(batch.task))
    ]
    without = replace(CONFIG, modality_weight=0.0)
    model.config = without
    losses = [float(step(model, one).detach()) for one in apart]
    pairs = [int(one.known.sum()) for one in apart]
    mean = np.average(losses, weights=pairs)
    assert float(step(model, batch).detach()) == pytest.approx(mean, rel=1e-4)


def test_the_modality_is_taught_only_where_it_is_known() -> None:
    model = _model()
    losses = {}
    for weight in (0.0, 0.5):
        model.config = replace(CONFIG, modality_weight=weight)
        losses[weight] = [float(step(model, _batch([task])).detach()) for task in (0, 1)]
    assert losses[0.5][0] > losses[0.0][0]
    assert losses[0.5][1] == losses[0.0][1]
    step(model, _batch([1])).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.modality_classifier.parameters())


def test_a_class_that_its_own_task_left_out_gets_no_gradient_but_is_asked() -> None:
    model, batch = _model(), _batch([0])
    batch.known[0, 1] = False
    logits = model(batch.image, batch.task)
    assert bool(logits[0, 1].any())
    step(model, batch).backward()
    bias = model.classifier.bias.bias.grad
    assert bias is not None
    assert float(bias[0]) != 0
    assert bias[1:].tolist() == [0, 0, 0]


def test_an_answer_does_not_depend_on_what_else_is_asked() -> None:
    model, case = _model(), _case()
    alone = predict(model, case, Classes(("liver_unit/liver",)))
    every = predict(model, case, Classes())
    assert every.names == CONFIG.classes
    assert np.array_equal(alone.scores[0], every.scores[0])
    voted = predict(model, case, Classes(("liver",)))
    both = every.scores[[0, 2]].astype(np.float32).mean(0)
    assert np.allclose(voted.scores[0], both, atol=1e-3)


def test_the_modality_may_be_told_and_an_unknown_one_is_refused() -> None:
    model, case, ask = _model(), _case(), Classes(("liver_unit/liver",))
    own = predict(model, case, ask).scores
    assert np.array_equal(predict(model, case, ask, modality="CT portal").scores, own)
    assert not np.array_equal(predict(model, case, ask, modality="CT plain").scores, own)
    assert not np.array_equal(predict(model, case, ask, modality="").scores, own)
    with pytest.raises(ValueError, match=r"unknown modality.*'MR'.*CT portal"):
        predict(model, case, ask, modality="MR")


def test_a_new_task_adds_its_tokens_and_moves_nothing_else() -> None:
    model = _model().eval()
    grown, added = add_task(model, "spine", ("vertebrae", "spinal_cord"))
    places = model.unet.token_width
    assert added == 2 * (places + 1)  # two tokens at every place, two biases
    assert grown.config.tasks[-1] == ("spine/vertebrae", "spine/spinal_cord")
    image = _batch([0, 1]).image
    torch.testing.assert_close(grown(image, torch.tensor([0, 1]))[:, :3],
                               model(image, torch.tensor([0, 1]))[:, :3])  # fmt: skip
    assert grown.ask(image, (2,))[0].shape[1] == 2
    with pytest.raises(ValueError, match="new classes"):
        add_task(model, "survey", ("liver",))


def test_the_published_protocol_has_71_tokens_and_modalities_where_they_are_one() -> None:
    config = Config.paper()
    assert len(config.classes) == 71
    known = dict(
        zip([t[0].partition("/")[0] for t in config.tasks], config.modality_of_task, strict=True)
    )
    assert known["autopet"] == "PET"
    assert known["amos"] == ""


def test_modalities_come_from_the_centres_that_the_tasks_are_named_after() -> None:
    protocols = [Protocol(name, (Region.of("liver"),)) for name in ("kidney_unit", "elsewhere")]
    config = Config.quick().with_vocabulary(hermes.vocabulary(protocols))
    assert config.modality_of_task == ("CT arterial", "")
    with pytest.raises(ValueError, match=r"hermes\.vocabulary"):
        Config.quick().with_vocabulary(Vocabulary.shared(protocols))


def test_configurations_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="one modality per task"):
        Config(tasks=(("a/liver",),))
    with pytest.raises(ValueError, match="needs tasks"):
        build(Config())
    with pytest.raises(ValueError, match="U-Net"):
        build(replace(CONFIG, backbone="resnet3d"))
