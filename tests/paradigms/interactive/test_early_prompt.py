import numpy as np
import pytest
import torch

from fmtutor.core.ask import Classes, Clicks
from fmtutor.core.configs import from_dict, to_dict
from fmtutor.core.prompts import INSIDE, OUTSIDE, Prompts, no_points
from fmtutor.core.seeds import seed_everything, torch_rng
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.paradigms.interactive import early_prompt
from fmtutor.paradigms.interactive.early_prompt import Config, build, certainty, predict, step
from tests.contracts.training import losses_of


def two_blocks(seed=0):
    """An image of two alike blocks: the click alone says which one is meant."""
    target = torch.zeros(1, 2, 16, 16, 16, dtype=torch.bool)
    target[0, 0, 2:7, 4:12, 4:12] = True
    target[0, 1, 9:14, 4:12, 4:12] = True
    image = target.any(1, keepdim=True).float()
    return ObjectBatch(image=image, target=target, known=torch.ones(1, 2, dtype=torch.bool),
                       seed=seed)  # fmt: skip


def built(**changes):
    seed_everything(0)
    return build(Config.tiny(**changes))


def test_the_embedding_is_the_image():
    image = two_blocks().image
    assert built().embed(image) is image


def test_questions_repeat_the_image_in_order():
    model = built().eval()
    images = torch.rand(2, 1, 16, 16, 16, generator=torch_rng(0))
    points = torch.full((4, 1, 3), 8.0)
    prompts = Prompts(points=points, labels=torch.full((4, 1), INSIDE))
    answer = model.decode(model.embed(images), prompts, candidates=True)
    assert answer.logits.shape == answer.low.shape == (4, 1, 16, 16, 16)
    assert answer.quality.shape == (4, 1)
    assert torch.allclose(answer.logits[0], answer.logits[1], atol=1e-5)
    assert not torch.allclose(answer.logits[1], answer.logits[2], atol=1e-5)


def test_the_answer_depends_on_each_kind_of_prompt():
    model, image = built().eval(), two_blocks().image
    plain = no_points(1, 3)
    at, strokes = torch.tensor([[[8.0, 8.0, 8.0]]]), torch.zeros(1, 2, 16, 16, 16)
    strokes[:, 1, 4:8] = 1
    asked = [
        Prompts(points=at, labels=torch.tensor([[INSIDE]])),
        Prompts(points=at, labels=torch.tensor([[OUTSIDE]])),
        Prompts(
            points=plain.points, labels=plain.labels, boxes=torch.tensor([[[2.0] * 3, [9.0] * 3]])
        ),
        Prompts(points=plain.points, labels=plain.labels, scribbles=strokes),
        plain.with_mask(torch.full((1, 1, 16, 16, 16), 3.0)),
        plain,
    ]
    answers = [model.decode(image, prompts).logits for prompts in asked]
    for i, one in enumerate(answers):
        assert not any(torch.allclose(one, other, atol=1e-4) for other in answers[:i])


def test_a_slice_is_answered_as_a_slice():
    model = built(dims=2).eval()
    prompts = Prompts(points=torch.tensor([[[8.0, 8.0]]]), labels=torch.tensor([[INSIDE]]))
    answer = model.decode(torch.rand(1, 1, 16, 16, generator=torch_rng(0)), prompts)
    assert answer.logits.shape == (1, 1, 16, 16)


def test_it_learns_to_follow_the_click():
    model = built()
    config = FitConfig(steps=50, lr=1e-2, warmup_steps=0, seed=0)
    losses = losses_of(fit(model, step, two_blocks, config))
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    prompts = Prompts(
        points=torch.tensor([[[4.0, 8.0, 8.0]], [[11.0, 8.0, 8.0]]]),
        labels=torch.full((2, 1), INSIDE),
    )
    batch = two_blocks()
    with torch.no_grad():
        mask = model.eval().decode(batch.image, prompts).logits > 0
    own, other = (mask & batch.truth).sum(), (mask & batch.truth.flip(0)).sum()
    assert own > 4 * other


def test_an_unknown_object_gives_no_gradient():
    model, batch = built(), two_blocks()
    nothing = ObjectBatch(
        image=batch.image, target=batch.target, known=torch.zeros_like(batch.known)
    )
    loss = step(model, nothing)
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in model.parameters())


def test_certainty_is_the_overlap_with_the_own_probabilities():
    sure, half = torch.full((1, 1, 4, 4), 30.0), torch.full((1, 1, 4, 4), -0.01)
    assert certainty(sure).item() > 0.99
    assert certainty(-sure).item() > 0.99
    assert certainty(half).item() < 0.2


def test_a_click_is_answered_on_the_grid_of_the_case():
    image = np.random.default_rng(0).normal(0, 50, (20, 24, 10)).astype(np.float32)
    case = Case(name="noise", image=image, affine=np.diag([2.0, 2.0, 5.0, 1.0]))
    prediction = predict(built(), case, Clicks(((10, 12, 5),), (True,)))
    (name,) = prediction.names
    assert prediction.mask(name).shape == image.shape
    with pytest.raises(ValueError, match="EarlyPrompt"):
        predict(built(), case, Classes(("liver",)))


def test_a_configuration_goes_through_json():
    for config in (Config.tiny(), Config.quick(), Config.gpu(), Config.paper()):
        assert from_dict(Config, to_dict(config)) == config
    assert early_prompt.CARD.deviations
