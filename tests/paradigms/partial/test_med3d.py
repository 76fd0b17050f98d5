import pytest
import torch

from fmtutor.core.seeds import seed_everything
from fmtutor.data.batches import Batch
from fmtutor.data.regions import Protocol, Region, Vocabulary
from fmtutor.nets.resnet3d import ResNetEncoder
from fmtutor.paradigms.partial.med3d import (
    Config,
    build,
    encoder_of,
    step,
    transfer,
    vocabulary,
)

NESTED = Protocol("nested", (Region.of("liver", "liver", "lesion"), Region.of("lesion")))
APART = Protocol("apart", (Region.of("spleen"), Region.of("liver")))


def small() -> Config:
    return Config(width=0.125, decoder_width=4).with_vocabulary(vocabulary([NESTED, APART]))


def test_overlapping_regions_get_sigmoids_and_others_a_softmax() -> None:
    config = small()
    assert config.exclusive == (False, True)
    assert config.tasks == (("nested/liver", "nested/lesion"), ("apart/spleen", "apart/liver"))


def test_a_shared_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"med3d\.vocabulary"):
        Config().with_vocabulary(Vocabulary.shared([APART]))


def test_a_sample_goes_through_the_decoder_of_its_task_alone() -> None:
    model = build(small())
    image = torch.randn(2, 1, 16, 16, 16)
    out = model(image, torch.tensor([1, 0]))
    assert out.shape == (2, 6, 16, 16, 16)
    used = out.abs().amax((2, 3, 4)) > 0
    assert used[0].tolist() == [False, False, True, True, False, True]
    assert used[1].tolist() == [True, True, False, False, True, False]
    out[0].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.decoders[0].parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.decoders[1].parameters())


def test_transfer_reuses_the_encoder_and_may_freeze_it() -> None:
    model = build(small())
    new = transfer(model, ("kidney",), freeze=True)
    assert isinstance(encoder_of(new), ResNetEncoder)
    before, after = encoder_of(model).state_dict(), encoder_of(new).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert {name.split(".")[0] for name, p in new.named_parameters() if p.requires_grad} == {
        "decoders"
    }
    assert new(torch.zeros(1, 1, 16, 16, 16)).shape[1] == 1
    assert all(p.requires_grad for p in model.parameters())
    assert all(p.requires_grad for p in transfer(model, ("kidney",)).parameters())


def test_a_configuration_without_tasks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs tasks"):
        build(Config())


def test_a_mixed_step_has_the_loss_that_it_always_had() -> None:
    """Committed results stand on these numbers."""
    seed_everything(3)
    model = build(small())
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(3, 1, 16, 16, 16, generator=generator)
    label = torch.randint(0, 4, (3, 16, 16, 16), generator=generator)
    task = torch.tensor([1, 0, 1])
    batch = Batch(
        image=image,
        target=torch.stack([label >= 1, label >= 2, label == 1, label == 3], 1),
        known=torch.tensor([[True, True, False, False], [False, False, True, True]])[task],
        task=task,
    )
    loss = step(model, batch)
    loss.backward()
    gradient = sum(float(p.grad.abs().sum()) for p in model.parameters() if p.grad is not None)
    assert float(loss.detach()) == pytest.approx(1.6567003726959229, rel=1e-5)
    assert gradient == pytest.approx(15.630902382923523, rel=1e-4)
