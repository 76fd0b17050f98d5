"""Rows of the tables of points and prompts, by tiny networks on a made-up patient."""

from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.bench import interactive_tables as tables
from fmtutor.bench.interactive_questions import Question
from fmtutor.core.prompts import Answer
from fmtutor.data.boxes import bare_dice
from fmtutor.engine.prediction import Prediction
from fmtutor.paradigms.interactive import early_prompt, sam
from tests.bench.test_interactive_scores import patient, question


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    flat = {"sam_base": sam.build(sam.Config.tiny())}
    return flat, {"early_prompt": early_prompt.build(early_prompt.Config.tiny())}


def test_a_2d_system_gets_points_on_each_slice_and_a_3d_one_in_all(networks):
    rows = tables.point_rows(*networks, question())
    flat = [row for row in rows if row["dims"] == 2]
    assert [row["per"] for row in flat] == [1, 3, 5]
    assert [row["slices"] for row in flat] == [10] * 3
    assert flat[0]["points"] == 10
    assert flat[0]["points"] < flat[1]["points"] <= 30
    volume = [row for row in rows if row["dims"] == 3]
    assert [row["points"] for row in volume] == [1, 3, 5, 10]
    for part in (flat, volume):
        seconds = [row["seconds"] for row in part]
        assert seconds == sorted(seconds)
        assert seconds[0] > 0


def test_the_points_of_a_curve_are_its_dice_at_those_clicks():
    curve = {
        "volume": "v", "case": "c", "structure": "s", "seen": True, "ml": 1.0, "system": "x",
        "dice": [n / 10 for n in range(11)], "seconds": [1.0] * 9,
    }  # fmt: skip
    rows = tables.volume_points(curve, 7)
    assert [(row["points"], row["dice"]) for row in rows] == [(1, 0.1), (3, 0.3), (5, 0.5), (10, 1)]
    assert [row["seconds"] for row in rows] == [1, 3, 5, 9]


def test_each_prompt_is_scored_beside_the_bare_box_and_an_automatic_network(networks):
    q = question()
    automatic = {"organs": q.mask, "other": None}
    rows = {(r["system"], r["prompt"]): r for r in tables.prompt_rows(*networks, q, automatic)}
    assert rows["organs", "automatic"]["dice"] == 1
    assert rows["other", "automatic"]["dice"] is None
    for system in ("sam_base", "early_prompt", "box", "box per slice"):
        assert {prompt for name, prompt in rows if name == system} >= {"tight box", "relaxed box"}
    assert rows["box", "tight box"]["dice"] == 1  # the structure is a cuboid
    assert rows["box", "relaxed box"]["dice"] < 1
    assert rows["box per slice", "tight box"]["boxes"] == 10
    assert rows["sam_base", "tight box"]["boxes"] == 10
    assert rows["early_prompt", "tight box"]["boxes"] == 1
    assert ("early_prompt", "10 points") in rows
    assert ("sam_base", "10 points") not in rows


def test_a_box_of_each_slice_is_answered_on_its_own_slice():
    """A network that fills what it is told fills exactly the boxes."""
    q = question()
    ((_, _, boxes), _) = tables.boxes_of_kinds(q)

    def filling(model, case, ask):
        mask = np.zeros(case.image.shape, bool)
        for h0, w0, d0, h1, w1, d1 in ask.boxes_vox:
            mask[h0:h1, w0:w1, d0:d1] = True
        return Prediction.from_masks({"structure": mask}, case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "segment_slices", filling)
        filled = tables._boxed_slices(nn.Module(), q, boxes)
    np.testing.assert_array_equal(filled, q.mask)
    assert bare_dice(q.mask) == 1


def test_structures_that_a_network_has_no_class_for_have_no_automatic_mask():
    q = question()
    model, module = nn.Module(), ModuleType("organs")
    model.config = SimpleNamespace(classes=("survey/liver", "spleen"))

    def predict(model, case, ask):
        assert ask.names == ("liver",)
        return Prediction.from_masks({"liver": q.mask}, case)

    module.predict = predict
    found = tables.automatic_masks({"organs": (model, module)}, q.case, ("liver", "hip_left"))
    np.testing.assert_array_equal(found["organs"]["liver"], q.mask)
    assert found["organs"]["hip_left"] is None


class Bright(nn.Module):
    """A promptable network that calls all that is bright the structure, whatever it is told."""

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.config = SimpleNamespace(size=size, spacing_mm=3.0)

    def embed(self, image):
        return image

    def decode(self, embedding, prompts, *, candidates=False):
        logits = 100 * (embedding - (embedding.amax() + embedding.amin()) / 2)
        return Answer(logits=logits, quality=torch.ones(1, 1), low=logits)


def test_a_network_that_is_right_is_scored_as_right_whichever_way_it_is_asked():
    labels = (patient().labels == 1).astype(np.uint8)
    case = replace(patient(), image=1000.0 * labels.astype(np.float32), labels=labels)
    q = Question(volume="target", case=case, structure="liver")
    volume, flat = {"early_prompt": Bright((24, 24, 24))}, {"sam_base": Bright((24, 24))}
    rows = tables.point_rows(flat, volume, q) + tables.prompt_rows(flat, volume, q, {})
    scored = [row for row in rows if row["system"] in ("early_prompt", "sam_base")]
    assert len(scored) == 3 + 4 + 2 + 2 + 1
    assert min(row["dice"] for row in scored) > 0.9  # a slice is resampled to its square
    curve = tables.centre_curve("early_prompt", volume["early_prompt"], q)
    assert curve["dice"] == [0.0] + [1.0] * 10
    assert len(curve["seconds"]) == 1  # nothing was left to correct
