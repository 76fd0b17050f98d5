"""Live lessons on phantoms: what is taught, what is forgotten, where features move."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fmtutor.bench import few_shot_cell
from fmtutor.bench import few_shot_lessons as lessons
from fmtutor.bench.few_shot_bases import Base
from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.core.seeds import seed_everything
from fmtutor.data.few_shot import Volume
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.adapt.spec import Spec, adapted

SMALL = replace(QUICK, patch={"unet": (16, 16, 16), "swin": (64, 32, 32)}, per_volume=4)


def volume(number: int, organ: int = 0) -> Volume:
    """One patient, two organs on one grid: a bright one and a dark one."""
    image = np.random.default_rng(number).normal(0.4, 0.02, (24, 20, 16)).astype(np.float32)
    boxes = [np.s_[3 + number : 11 + number, 4:14, 3:13], np.s_[14:21, 4:14, 3:13]]
    for box, shift in zip(boxes, (0.4, -0.3), strict=True):
        image[box] += shift
    target = np.zeros(image.shape, bool)
    target[boxes[organ]] = True
    return Volume(name=f"v{number}", image=image, target=target, voxel_ml=0.1)


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Base:
    monkeypatch.setattr(lessons, "QUICK", SMALL)
    monkeypatch.setattr(few_shot_cell, "cache_folder", lambda: tmp_path)
    seed_everything(0)
    net = GenesisUNet(width=4).eval()
    rows = {"bright": (torch.ones(4), torch.zeros(())), "dark": (-torch.ones(4), torch.zeros(()))}
    return Base("tiny", net, rows)


def test_a_lesson_teaches_a_copy_and_leaves_the_base_as_it_was(base: Base) -> None:
    before = {name: x.clone() for name, x in base.backbone.state_dict().items()}
    lesson = lessons.teach(base, Spec(method="full_fine_tune"), "bright", [volume(0)], steps=4)
    assert len(lesson.losses) == 4
    assert lesson.seconds > 0
    assert all(torch.equal(before[n], x) for n, x in base.backbone.state_dict().items())
    moved = lesson.net.backbone.state_dict()
    assert any(not torch.equal(before[n], x) for n, x in moved.items())


def test_a_black_box_lesson_learns_from_kept_features(base: Base, tmp_path: Path) -> None:
    lesson = lessons.teach(
        base, Spec(method="linear_probe"), "bright", [volume(0), volume(1)], steps=40
    )
    assert np.mean(lesson.losses[-5:]) < np.mean(lesson.losses[:5])
    assert len(list((tmp_path / "few_shot_features").rglob("*.safetensors"))) > 0
    assert lessons.answer(lesson.net, volume(2)).shape == volume(2).image.shape


def test_heads_answer_as_the_adapted_network_with_their_row_does(base: Base) -> None:
    masks = lessons.ask_heads(base.backbone, base.rows, volume(0))
    for name, row in base.rows.items():
        net = adapted(base.backbone, Spec(method="zero_shot"), row=row)
        assert np.array_equal(masks[name], lessons.answer(net, volume(0)))


def test_knowledge_has_a_line_for_each_backbone_structure_and_patient(base: Base) -> None:
    probe = lessons.teach(base, Spec(method="linear_probe"), "bright", [volume(0)], steps=2)
    tests = {"bright": [volume(1), volume(2)], "dark": [volume(1, organ=1)]}
    table = lessons.knowledge(
        {"base": base.backbone, "probe": probe.net.backbone}, base.rows, tests
    )
    assert len(table) == 2 * 3
    wide = table.pivot(index=["structure", "case"], columns="backbone", values="dice")
    assert (wide["base"] == wide["probe"]).all()


def test_patients_are_the_first_that_show_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def prepared(number: int, *_: object, **__: object) -> Volume:
        asked.append(number)
        return replace(volume(0), target=volume(0).target & (number % 2 == 0))

    monkeypatch.setattr(lessons, "virtual_case", lambda centre, number: number)
    monkeypatch.setattr(lessons, "prepare", prepared)
    assert len(lessons.patients("spleen", [7, 4, 5, 6, 8], count=2)) == 2
    assert asked == [7, 4, 5, 6]


def test_arena_finds_a_known_rank_where_its_steps_are_those_of_the_theory() -> None:
    left, error = lessons.arena_on_a_known_change(0.015)
    assert left == 3
    assert error < 0.02
    assert lessons.arena_on_a_known_change(0.0)[0] == 16
    assert lessons.arena_on_a_known_change(0.03)[0] < 3
    assert lessons.arena_on_a_known_change(0.015, optimiser="adamw")[0] == 16
