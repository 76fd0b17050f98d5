"""Zoom-out-zoom-in with a network whose answers are known: the bright voxels, as far as asked."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from fmtutor.core.ask import Clicks
from fmtutor.core.prompts import Answer, Prompts
from fmtutor.data.cases import Case
from fmtutor.engine.zooming import Question, zoom_out_zoom_in

SIZE = (8, 8, 8)


class Bright(nn.Module):
    """Answers all bright voxels, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()

    def embed(self, image: Tensor) -> Tensor:
        return image

    def decode(self, embedding: Tensor, prompts: Prompts, *, candidates: bool = False) -> Answer:
        assert tuple(embedding.shape[2:]) == SIZE
        self.log.images.append(embedding)
        self.log.prompts.append(prompts)
        logits = (embedding - 0.5) * 20
        return Answer(logits=logits, quality=torch.ones(1, 1), low=logits)


@dataclass
class Log:
    images: list[Tensor] = field(default_factory=list)
    prompts: list[Prompts] = field(default_factory=list)


def case_of(shape: tuple[int, int, int], *boxes: tuple[int, int, int, int]) -> Case:
    """Bright cubes (h, w, d, side) in 1 mm voxels."""
    image = np.full(shape, -175.0, np.float32)
    for h, w, d, side in boxes:
        image[h : h + side, w : w + side, d : d + side] = 250
    return Case(name="cubes", image=image, affine=np.eye(4))


def zoomed(model: Bright, case: Case, question: Question, *, zoom_in: bool = True) -> np.ndarray:
    return zoom_out_zoom_in(
        model, case, question, size=SIZE, spacing_mm=1.0, overlap=0.5, zoom_in=zoom_in
    )


TEXT = torch.ones(4)


def test_a_volume_that_fits_is_looked_at_once() -> None:
    model, case = Bright(), case_of((8, 6, 8), (2, 2, 2, 3))
    mask = zoomed(model, case, Question(text=TEXT))
    assert len(model.log.prompts) == 1
    assert np.array_equal(mask, case.image > 0)
    assert np.array_equal(mask, zoomed(Bright(), case, Question(text=TEXT), zoom_in=False))


def test_a_closer_look_makes_borders_exact_that_the_first_one_blurred() -> None:
    case = case_of((32, 32, 32), (9, 10, 11, 9))
    truth, question = case.image > 0, Question(text=TEXT)
    coarse, fine = (zoomed(Bright(), case, question, zoom_in=z) for z in (False, True))
    assert (coarse & truth).any()
    assert not np.array_equal(coarse, truth)
    assert np.array_equal(fine, truth)


def test_what_the_first_look_did_not_see_is_not_looked_for() -> None:
    case = case_of((32, 32, 32), (3, 3, 3, 8), (28, 28, 28, 1))
    mask = zoomed(Bright(), case, Question(text=TEXT))
    assert mask[4, 4, 4]
    assert not mask[28, 28, 28]


def test_nothing_seen_is_an_empty_mask_after_one_look() -> None:
    model = Bright()
    assert not zoomed(model, case_of((32, 32, 32)), Question(text=TEXT)).any()
    assert len(model.log.prompts) == 1


def test_the_closer_look_is_asked_with_what_the_first_was_and_with_boxes_of_the_coarse_mask() -> (
    None
):
    case = case_of((32, 32, 32), (8, 8, 8, 12))
    clicks = Clicks(((13, 13, 13), (2, 2, 2)), (True, False))
    question = Question(clicks=clicks, box=(7, 7, 7, 21, 21, 21), text=TEXT)
    model = Bright()
    zoomed(model, case, question)
    first, *windows = model.log.prompts
    assert first.boxes is not None
    assert torch.allclose(first.boxes, torch.tensor([[[1.375] * 3, [4.625] * 3]]), atol=0.01)
    assert first.labels.tolist() == [[1, 0]]
    assert len(windows) > 8
    held = 0
    for image, prompts in zip(model.log.images[1:], windows, strict=True):
        assert prompts.text is not None
        assert torch.equal(prompts.text[0], TEXT)
        bright = image[0, 0] > 0.5
        inside = prompts.points[0][prompts.labels[0] == 1].long()
        assert len(inside) == 1
        if prompts.boxes is not None and bright.sum() > 100:
            at = torch.nonzero(bright)
            off = (prompts.boxes[0] - torch.stack((at.amin(0), at.amax(0)))).abs()
            assert float(off.max()) <= 3  # the coarse mask is right to a coarse voxel
            held += 1
    assert held


def test_a_question_without_clicks_or_box_makes_up_none() -> None:
    model = Bright()
    zoomed(model, case_of((32, 32, 32), (8, 8, 8, 12)), Question(text=TEXT))
    assert all(p.boxes is None and p.points.shape[1] == 0 for p in model.log.prompts)
