"""Several structures at once: what a patch of them holds, and how a case becomes one."""

from dataclasses import replace

import numpy as np
import pytest

from fmtutor.data.cases import Case
from fmtutor.data.few_shot import Patches, prepare
from fmtutor.data.few_shot_classes import MultiVolume, prepare_classes
from fmtutor.data.regions import Region

LIVER, SPLEEN = Region.of("liver", "liver", "liver_lesion"), Region.of("spleen")
PLAN = {"spacing_mm": (1.0, 1.0, 1.0), "patch": (4, 4, 4)}


@pytest.fixture
def case() -> Case:
    labels = np.zeros((12, 9, 9), np.uint8)
    labels[2:6, 2:6, 2:6] = 1
    labels[3:5, 3:5, 3:5] = 2
    labels[8:11, 2:6, 2:6] = 3
    image = np.where(labels > 0, 100.0, -50.0).astype(np.float32)
    table = {1: "liver", 2: "liver_lesion", 3: "spleen"}
    return Case(name="c", image=image, affine=np.eye(4), labels=labels, table=table)


def test_labels_follow_the_regions_and_agree_with_each_one_alone(case: Case) -> None:
    volume = prepare_classes(case, (LIVER, SPLEEN), **PLAN)
    assert volume.classes == ("liver", "spleen")
    for number, region in enumerate((LIVER, SPLEEN), start=1):
        alone = prepare(case, region, **PLAN)
        assert alone.target.any()
        np.testing.assert_array_equal(volume.labels == number, alone.target)
        np.testing.assert_array_equal(volume.image, alone.image)
    np.testing.assert_array_equal(volume.target, volume.labels > 0)


def test_channels_are_background_and_structures_each_voxel_in_one(case: Case) -> None:
    volume = prepare_classes(case, (LIVER, SPLEEN), **PLAN)
    batch = Patches([volume], size=(4, 4, 4), batch=2, seed=0)(0)
    assert batch.target.shape == (2, 3, 4, 4, 4)
    assert batch.target.sum(1).eq(1).all()
    assert not batch.target[0, 0, 2, 2, 2]  # the first patch is centred in a structure
    everything = volume.channels((slice(None),) * 3)
    np.testing.assert_array_equal(everything.argmax(0), volume.labels)


def test_one_region_alone_is_for_the_binary_form(case: Case) -> None:
    with pytest.raises(ValueError, match="two or more"):
        prepare_classes(case, (LIVER,), **PLAN)
    with pytest.raises(ValueError, match="needs labels"):
        prepare_classes(replace(case, labels=None), (LIVER, SPLEEN), **PLAN)


def test_a_volume_keeps_a_label_for_every_class_it_names(case: Case) -> None:
    volume = prepare_classes(case, (SPLEEN, LIVER), **PLAN)
    assert isinstance(volume, MultiVolume)
    assert [int((volume.labels == n).sum()) for n in (1, 2)] == [48, 64]
