from collections import Counter

import numpy as np
import pytest

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data import slice_bank as module
from fmtutor.data.anatomy import NOVEL_STRUCTURES
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, TARGET, WIDE
from fmtutor.data.regions import Region
from fmtutor.data.slice_bank import SliceBankConfig, slice_bank, training_slices
from fmtutor.data.task_bank import SliceSource

TABLE = {1: "liver", 2: "spleen", 3: NOVEL_STRUCTURES[0]}
OFFERED = (Region.of("liver"), Region.of("spleen"), Region.of("both", "liver", "spleen"))
CONFIG = SliceBankConfig(size=40)


def patient(number: int) -> Case:
    labels = np.zeros((40, 40, 30), np.uint8)
    labels[6:22, 6:22, 2:28] = 1
    labels[26:36, 10:20, 10:14] = 2
    labels[26:36, 26:36] = 3
    image = np.arange(30, dtype=np.float32)[None, None] * 8 + np.zeros((40, 40, 1), np.float32)
    return Case(name=f"p{number}", image=image, affine=np.diag((3.0, 3.0, 3.0, 1.0)),
                labels=labels, table=TABLE)  # fmt: skip


def source(patients: int = 3, regions=OFFERED, **options) -> SliceSource:
    cases = [patient(number) for number in range(patients)]
    return SliceSource(name="s", cases=cases, regions=lambda case: regions, **options)


@pytest.fixture(scope="module")
def bank():
    return slice_bank([source()], CONFIG)


def test_of_every_case_axial_slices_are_kept_and_half_as_many_of_each_other_axis(bank):
    assert Counter(zip(bank.patient.tolist(), bank.axis.tolist(), strict=True)) == {
        (p, axis): 8 if axis == 2 else 4 for p in range(3) for axis in range(3)
    }
    assert bank.images.shape == bank.labels.shape == (48, 40, 40, 1)


def test_rows_show_their_region(bank):
    for (number, axis), shown in bank.rows.items():
        for name, rows in shown.items():
            ids = bank.regions[number][2][name]
            areas = np.isin(bank.labels[rows], ids).sum((1, 2, 3))
            assert (areas >= 30).all()
            assert (bank.axis[rows] == axis).all()


def test_novel_structures_leave_no_pixel(bank):
    assert set(np.unique(bank.labels)) == {0, 1, 2}
    with pytest.raises(ValueError, match="must not offer novel structures"):
        slice_bank([source(1, (Region.of(NOVEL_STRUCTURES[0]),))], CONFIG)


def test_structures_are_asked_for_equally_often(bank):
    drawn = Counter(bank.scene(rng_of(i)).asked for i in range(300))
    assert all(70 < drawn[name] < 130 for name in ("liver", "spleen", "both"))


def test_slices_that_show_a_rare_structure_are_kept_more_often_than_by_chance():
    """A spleen on 4 of 26 slices: region first, then slice, gives 4 (1/4 + 2/26) / 3 = 0.44."""
    labels = np.moveaxis(patient(0).labels, 2, 0)
    ids = {"liver": [1], "spleen": [2], "both": [1, 2]}
    kept = [int(module._chosen(labels * (labels < 3), ids, 1, rng_of(i))[0]) for i in range(300)]
    assert 0.35 < np.mean([10 <= index < 14 for index in kept]) < 0.52


def test_a_scene_is_a_slice_with_all_that_its_source_offers(bank):
    scene = bank.scene(rng_of(0))
    assert scene.image.dtype == np.float32
    assert scene.image.max() <= 1
    assert set(scene.regions) == {"liver", "spleen", "both"}
    assert np.isin(scene.labels, scene.regions[scene.asked]).sum() >= 30


def test_neighbours_follow_each_other_along_the_axis():
    slabs = slice_bank([source(1)], SliceBankConfig(size=40, depth=5))
    axial = slabs.images[slabs.axis == 2][:, 5:35, 5:35].mean((1, 2)) / 255 * 425 - 175
    steps = np.diff(axial, axis=1)
    assert axial.shape[1] == 5
    assert ((np.abs(steps - 8) < 1.7) | (np.abs(steps) < 0.1)).all()
    assert (np.abs(steps - 8) < 1.7).mean() > 0.8


def test_a_bank_is_the_same_when_it_is_read_again(monkeypatch, tmp_path, bank):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path))
    built = []
    monkeypatch.setattr(module, "_sources", lambda config: built.append(1) or [source()])
    first, second = training_slices(CONFIG), training_slices(CONFIG)
    assert len(built) == 1
    for other in (first, second):
        assert np.array_equal(other.images, bank.images)
        assert np.array_equal(other.labels, bank.labels)
        assert other.regions == bank.regions
        assert np.array_equal(other.scene(rng_of(4)).image, bank.scene(rng_of(4)).image)


def test_another_configuration_is_kept_elsewhere():
    paths = {
        module.bank_path(SliceBankConfig(size=size, depth=d)) for size in (64, 128) for d in (1, 5)
    }
    assert len(paths) == 4


def test_the_sources_of_training_hold_no_target_patient():
    names = [found.name for found in module._sources(SliceBankConfig(axial=6))]
    assert names == [*CENTRES, WIDE.name, "brain_tissue"]
    assert TARGET.name not in names


def test_even_depths_and_empty_banks_are_refused():
    with pytest.raises(ValueError, match="depth must be odd"):
        SliceBankConfig(depth=4)
    with pytest.raises(ValueError, match="no slice shows 5000 pixels"):
        slice_bank([source(1)], SliceBankConfig(size=40, least_pixels=5000))
