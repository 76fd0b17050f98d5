import matplotlib as mpl
import numpy as np
import pytest
import torch

from fmtutor.bench.figures_universal import (
    cut_out,
    plot_answers,
    plot_task_likeness,
    plot_task_prompts,
    prompt_maps,
    shared_organs,
    task_likeness,
    told_by_place,
)
from fmtutor.core.geometry import voxel_to_world
from fmtutor.data.cases import Case
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.transforms import normalise
from fmtutor.paradigms.partial import uniseg

mpl.use("Agg")


def _case(shape=(20, 16, 40)) -> Case:
    generator = np.random.default_rng(0)
    image = generator.normal(40, 60, shape).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    labels[4:10, 4:10, 4:10] = 1
    return Case(name="toy", image=image, affine=np.diag([3.0, 3, 3, 1]), modality="CT",
                labels=labels, table={1: "liver"}, known=frozenset({"liver"}))  # fmt: skip


def test_a_part_of_a_case_stays_in_its_place() -> None:
    case = _case()
    part = cut_out(case, (slice(4, 12), slice(2, 16), slice(8, 30)))
    assert part.image.shape == (8, 14, 22)
    np.testing.assert_allclose(
        voxel_to_world(np.array([[0.0, 0, 0]]), part.affine),
        voxel_to_world(np.array([[4.0, 2, 8]]), case.affine),
    )
    assert part.mask("liver").sum() == case.mask("liver")[4:, 2:, 8:].sum()


def test_prompt_maps_are_the_prompts_of_each_window_side_by_side() -> None:
    torch.manual_seed(0)
    model, case = uniseg.build(uniseg.Config.tiny()), _case()
    maps = prompt_maps(model, case)
    coarse = model.prompt.volume.shape[2:]
    assert maps.shape == (6, 2 * coarse[0], coarse[1], 3 * coarse[2])
    window = torch.from_numpy(normalise(case.image[:16, :16, 16:32], "CT"))[None, None]
    with torch.no_grad():
        expected = model.encode(window)[1][0].numpy()
    found = maps[:, : coarse[0], :, coarse[2] : 2 * coarse[2]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_constant_prompt_is_told_by_its_place_and_one_that_follows_the_image_is_not() -> None:
    generator = np.random.default_rng(0)
    constant = np.tile(generator.normal(size=(4, 4, 3)), (4, 2, 5))
    image = np.kron(generator.normal(size=(4, 2, 5)), np.ones((4, 4, 3)))
    shares = told_by_place(np.stack([constant, image, constant + image]), (4, 4, 3))
    np.testing.assert_allclose(shares[:2], [1, 0], atol=1e-6)
    assert 0.2 < shares[2] < 0.8


def test_prompts_lie_over_the_scan_at_their_own_scale() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 2, 1, 3)).astype(np.float32)
    figure = plot_task_prompts(
        _case(), maps, ("one", "two_b"), voxel_mm=(48.0, 48.0, 48.0), index=5
    )
    scan, one, two = figure.axes[:3]
    assert len(scan.images) == 1
    assert two.get_title() == "two b"
    np.testing.assert_allclose(one.images[1].get_array(), maps[0, :, 0].T)
    assert tuple(one.images[1].get_extent()) == (0, 96, 0, 144)
    assert one.get_xlim() == scan.get_xlim()


def test_answers_share_a_slice_and_a_legend_without_data_sets() -> None:
    case = _case()
    panels = {"a": {"x/liver": case.mask("liver")}, "b": {"y/kidneys": ~case.mask("liver")}}
    figure = plot_answers(case, panels, plane="axial", index=6, width=3.0)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {"liver", "kidneys"}


def test_task_likeness_is_tried_against_every_order_of_the_tasks() -> None:
    parts = (("liver", "spleen"), ("liver",), ("spleen", "colon"), ("colon",))
    protocols = [Protocol(n, tuple(map(Region.of, p))) for n, p in zip("abcd", parts, strict=True)]
    np.testing.assert_allclose(shared_organs(protocols)[0], [1, 1 / 2, 1 / 3, 0])
    vectors = np.array([[float(organ in part) for organ in ("liver", "spleen", "colon")]
                        for part in parts])  # fmt: skip
    correlation, chance = task_likeness(protocols, vectors)
    assert correlation > 0.8
    assert 1 / 24 <= chance < 0.2
    assert task_likeness(protocols, -vectors)[0] == pytest.approx(correlation)
    figure = plot_task_likeness(protocols, vectors)
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), shared_organs(protocols))
