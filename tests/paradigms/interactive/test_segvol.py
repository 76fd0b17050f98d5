from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from fmtutor.core.ask import Boxes, Clicks, Part, PreviousMask, Text
from fmtutor.core.prompts import Answer, Prompts, no_points
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.engine.sensitivity import dice_each
from fmtutor.engine.zooming import Question, zoom_out_zoom_in
from fmtutor.nets.name_vectors import vectors_where_known
from fmtutor.paradigms.interactive.segvol import COMBINATIONS, Config, build, predict, step
from tests.contracts.training import losses_of

NAMES = ("liver", "spleen")
SIZE = (16, 16, 8)


def image_of(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright ball, the liver, and a dark one, the spleen, on either side."""
    rng = rng_of("segvol phantom", number)
    at, image = np.indices(SIZE), np.full(SIZE, 0.5) + rng.normal(0, 0.03, SIZE)
    masks = np.zeros((2, *SIZE), bool)
    for which, grey in enumerate((0.9, 0.1)):
        centre = rng.uniform(0.35, 0.6, 3) * SIZE
        centre[1] = 4 if (which + number) % 2 else 11
        masks[which] = sum((a - c) ** 2 for a, c in zip(at, centre, strict=True)) < 11
        image[masks[which]] = grey
    return image.clip(0, 1).astype(np.float32), masks


def batch_of(seed: int, names: tuple[str, ...] = NAMES) -> ObjectBatch:
    images, masks = zip(*(image_of(number) for number in range(2)), strict=True)
    return ObjectBatch(
        image=torch.from_numpy(np.stack(images)[:, None]), target=torch.from_numpy(np.stack(masks)),
        known=torch.ones(2, 2, dtype=torch.bool), names=(names,) * 2, seed=seed,
    )  # fmt: skip


@cache
def trained() -> Any:
    """A network that is asked in all six ways in each step, so that a lone point is learnt too."""
    seed_everything(0)
    config = Config.tiny(combinations=6, lr=4e-3)
    model = build(config)
    recipe = FitConfig(
        steps=80, lr=config.lr, warmup_steps=8, weight_decay=config.weight_decay, prefetch=0
    )
    losses_of(fit(model, step, batch_of, recipe))
    return model.eval()


def fresh() -> Any:
    seed_everything(0)
    return build(Config.tiny())


def masks_for(prompts: Prompts) -> torch.Tensor:
    model = trained()
    with torch.no_grad():
        return model.decode(model.embed(batch_of(0).image), prompts).logits[:, 0] > 0


def texts(*names: str) -> Prompts:
    return replace(no_points(len(names), 3), text=vectors_where_known("minilm", names))


def test_a_name_alone_picks_the_structure() -> None:
    truth = batch_of(0).target.flatten(0, 1)
    assert float(dice_each(masks_for(texts(*NAMES * 2)), truth).mean()) > 0.8
    exchanged = masks_for(texts(*NAMES[::-1] * 2))
    assert float(dice_each(exchanged, truth).mean()) < 0.3


def test_no_row_of_text_is_the_same_as_a_row_of_nothing() -> None:
    model, image = fresh(), batch_of(0).image
    with torch.no_grad():
        without = model.decode(model.embed(image), no_points(2, 3))
        empty = model.decode(model.embed(image), texts("", "pseudo"))
    assert torch.equal(without.logits, empty.logits)


def test_the_last_answer_is_not_read() -> None:
    model, image = fresh(), batch_of(0).image
    with torch.no_grad():
        embedding = model.embed(image)
        first = model.decode(embedding, texts(*NAMES))
        again = model.decode(embedding, texts(*NAMES).with_mask(first.low))
    assert torch.equal(first.logits, again.logits)


def asked_of(batch: ObjectBatch, combinations: int = 6) -> list[Prompts]:
    """All prompts of one training step."""
    model, kept = fresh(), []
    model.config = replace(model.config, combinations=combinations, points=(3, 3))
    decode = model.decode

    def keeping(embedding: object, prompts: Prompts, **how: bool) -> Answer:
        kept.append(prompts)
        return decode(embedding, prompts, **how)

    model.decode = keeping
    step(model, batch)
    return kept


def ways_of(prompts: Prompts) -> tuple[str, ...]:
    points = ("points",) * bool(prompts.points.shape[1])
    box, text = ("box",) * (prompts.boxes is not None), ("text",) * (prompts.text is not None)
    return (*points, *box, *text)


def test_a_step_asks_in_all_six_ways_and_in_three_where_nothing_has_a_name() -> None:
    asked = {frozenset(ways_of(prompts)) for prompts in asked_of(batch_of(0))}
    assert asked == set(map(frozenset, COMBINATIONS))
    unnamed = {frozenset(ways_of(p)) for p in asked_of(batch_of(0, ("pseudo", "liver+spleen")))}
    assert unnamed == {frozenset(ways) for ways in COMBINATIONS if "text" not in ways}
    assert len(asked_of(batch_of(0), combinations=2)) == 2


def test_points_lie_inside_and_outside_as_their_labels_say() -> None:
    batch = batch_of(3)
    truth = batch.target.flatten(0, 1)
    for prompts in asked_of(batch):
        for row in range(4 if prompts.points.shape[1] else 0):
            h, w, d = prompts.points[row].long().unbind(-1)
            assert torch.equal(truth[row, h, w, d], prompts.labels[row] == 1)
            assert bool((prompts.labels[row] == 1).any())


def test_an_object_without_a_name_is_not_learnt_where_only_text_asks() -> None:
    model, batch, losses = fresh(), batch_of(0, ("liver", "pseudo")), []
    model.config = replace(model.config, combinations=6)
    decode = model.decode

    def keeping(embedding: object, prompts: Prompts, **how: bool) -> Answer:
        answer = decode(embedding, prompts, **how)
        answer.logits.retain_grad()
        losses.append((ways_of(prompts), answer.logits))
        return answer

    model.decode = keeping
    step(model, batch).backward()
    for ways, logits in losses:
        moved = (logits.grad != 0).flatten(1).any(1).tolist()
        assert moved == ([True, False] * 2 if ways == ("text",) else [True] * 4)


def case_of(scale: int = 1) -> Case:
    """The first phantom in 3 mm voxels; ``scale`` times as large in the body."""
    image, masks = image_of(0)
    labels = (masks[0] + 2 * masks[1]).astype(np.uint8)
    block = np.ones((scale,) * 3)
    return Case(
        name="phantom", image=np.kron(image, block).astype(np.float32) * 425 - 175,
        affine=np.diag((3.0, 3.0, 3.0, 1.0)), labels=np.kron(labels, block).astype(np.uint8),
        table=dict(enumerate(NAMES, 1)),
    )  # fmt: skip


def parts_of(mask: np.ndarray, name: str) -> dict[str, Part]:
    at = np.argwhere(mask)
    middle = at[((at - at.mean(0)) ** 2).sum(1).argmin()].tolist()
    box = (*at.min(0).tolist(), *(at.max(0) + 1).tolist())
    return {"points": Clicks((tuple(middle),), (True,)), "box": Boxes((box,)), "text": Text(name)}


@pytest.mark.parametrize("ways", COMBINATIONS, ids="+".join)
def test_every_combination_of_prompts_is_answered(ways: tuple[str, ...]) -> None:
    case = case_of()
    for name in NAMES:
        truth = case.mask(name)
        first, *others = (parts_of(truth, name)[way] for way in ways)
        ask: Any = first
        for other in others:
            ask = ask & other
        prediction = predict(trained(), case, ask)
        (answered,) = prediction.classes
        assert answered == (name if "text" in ways else "structure")
        mask = prediction.mask(answered)
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.7


def test_several_boxes_are_several_objects_and_their_union_is_returned() -> None:
    case = case_of()
    boxes = [parts_of(case.mask(name), name)["box"].boxes_vox[0] for name in NAMES]  # type: ignore[attr-defined]
    alone = [predict(trained(), case, Boxes((box,))).mask("structure") for box in boxes]
    both = predict(trained(), case, Boxes(tuple(boxes))).mask("structure")
    assert np.array_equal(both, alone[0] | alone[1])


def test_what_it_cannot_answer_is_one_clear_error() -> None:
    case, empty = case_of(), np.zeros(SIZE, bool)
    with pytest.raises(
        ValueError, match="cannot answer PreviousMask; it answers: Clicks, Boxes, T"
    ):
        predict(fresh(), case, PreviousMask(empty))
    with pytest.raises(ValueError, match="click lies in the volume"):
        predict(fresh(), case, Clicks(((0, 0, 8),), (True,)))
    two = Boxes(((0, 0, 0, 2, 2, 2), (3, 3, 3, 5, 5, 5)))
    with pytest.raises(ValueError, match="ask one at a time"):
        predict(fresh(), case, two & Clicks(((0, 0, 0),), (True,)))


def zoomed(case: Case, text: str, *, zoom_in: bool) -> np.ndarray:
    question = Question(text=vectors_where_known("minilm", [text])[0])
    return zoom_out_zoom_in(
        trained(), case, question, size=SIZE, spacing_mm=3.0, overlap=0.25, zoom_in=zoom_in
    )


def test_a_volume_that_fits_is_answered_by_the_first_look_alone() -> None:
    out, both = (zoomed(case_of(), "liver", zoom_in=closer) for closer in (False, True))
    assert out.any()
    assert np.array_equal(out, both)


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"learnt one by one for images of \(16, 16, 8\)"):
        fresh().embed(torch.zeros(1, 1, 16, 16, 16))
