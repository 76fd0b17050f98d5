import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.regions import Region
from fmtutor.data.scenes import Scene
from fmtutor.data.slice_bank import SliceBankConfig, slice_bank
from fmtutor.data.slice_objects import (
    SliceObjectConfig,
    SliceObjectStream,
    drawn_objects,
    one_component,
)
from fmtutor.data.task_bank import SliceSource

TABLE = {1: "liver", 2: "spleen"}


def patient(number: int) -> Case:
    rng = rng_of("patient", number)
    labels = np.zeros((40, 40, 24), np.uint8)
    labels[6:22, 6:22, 4:20] = 1
    labels[26:36, 10:20, 6:16] = 2
    labels[26:36, 26:36, 6:16] = 2
    image = rng.normal(0, 15, labels.shape).astype(np.float32) + 90.0 * labels
    return Case(name=f"p{number}", image=image, affine=np.diag((3.0, 3.0, 3.0, 1.0)),
                labels=labels, table=TABLE)  # fmt: skip


def bank(depth: int = 1):
    offered = [Region.of("liver"), Region.of("spleen")]
    source = SliceSource(name="s", cases=[patient(0), patient(1)], regions=lambda case: offered)
    return slice_bank([source], SliceBankConfig(size=48, depth=depth))


def two_parts() -> Scene:
    labels = np.zeros((40, 40, 1), np.uint8)
    labels[4:12, 4:12] = labels[24:34, 24:34] = 1
    image = labels / np.float32(2) + np.float32(0.2)
    return Scene(image=image, labels=labels, regions={"liver": np.array([1])}, asked="liver")


@pytest.fixture(scope="module")
def stream():
    return SliceObjectStream(bank(), SliceObjectConfig())


def test_a_batch_is_a_function_of_step_and_seed(stream):
    again = SliceObjectStream(stream.source, stream.config)(7)
    batch = stream(7)
    assert torch.equal(batch.image, again.image)
    assert torch.equal(batch.target, again.target)
    assert batch.names == again.names
    assert batch.seed == again.seed != stream(8).seed
    other = SliceObjectStream(stream.source, stream.config, seed=1)(7)
    assert not torch.equal(batch.image, other.image)


def test_images_and_objects_have_the_shapes_of_an_object_batch(stream):
    batch = stream(0)
    assert batch.image.shape == (4, 1, 48, 48)
    assert batch.target.shape == (4, 4, 48, 48)
    assert batch.target.dtype == torch.bool
    assert 0 <= float(batch.image.min()) <= float(batch.image.max()) <= 1


def test_known_objects_are_large_enough(stream):
    for step in range(8):
        batch = stream(step)
        areas = batch.target.sum((2, 3))
        assert bool((areas[batch.known] >= 30).all())


def test_structures_segments_and_shapes_are_all_asked_for(stream):
    names = {name for step in range(12) for row in stream(step).names for name in row}
    assert {"liver", "spleen", "segment", "shape"} <= names


def test_a_scene_of_neighbours_makes_slabs():
    stream = SliceObjectStream(bank(depth=5), SliceObjectConfig(shapes=0.0))
    batch = stream(1)
    assert batch.image.shape == (4, 1, 48, 48, 5)
    assert batch.target.shape == (4, 4, 48, 48, 5)
    assert bool((batch.target[..., 2].sum((2, 3))[batch.known] >= 30).all())


def test_a_structure_is_asked_for_whole_or_as_one_part():
    config = SliceObjectConfig(objects=1, segments=1e-9, shapes=0.0)
    areas = {int(drawn_objects(two_parts(), config, rng_of(i))[1][0][1].sum()) for i in range(30)}
    assert areas == {64, 100, 164}


def test_parts_that_are_too_small_are_not_asked_for_alone():
    mask = two_parts().labels > 0
    assert {int(one_component(mask, 80, rng_of(i)).sum()) for i in range(10)} == {100}
    assert int(one_component(mask, 200, rng_of(0)).sum()) == 164


def test_objects_that_are_missing_are_repeated_and_unknown():
    class Air:
        size, depth = 32, 1

        def scene(self, rng):
            return Scene(image=np.zeros((32, 32, 1), np.float32),
                         labels=np.zeros((32, 32, 1), np.uint8))  # fmt: skip

    batch = SliceObjectStream(Air(), SliceObjectConfig(batch=2, segments=1.0, shapes=0.0))(0)
    assert not batch.known.any()
    assert not batch.target.any()
    assert set(batch.names[0]) == {"nothing"}


def test_a_shape_changes_the_image_and_hides_what_lies_below():
    config = SliceObjectConfig(objects=4, segments=0.0, shapes=1.0)
    scene = two_parts()
    image, found = drawn_objects(scene, config, rng_of(3))
    assert all(np.abs(image - scene.image)[mask].mean() > 0.02 for _, mask in found)
    masks = np.stack([mask for name, mask in found if name == "shape"])
    assert masks.sum(0).max() == 1


def test_shares_outside_their_range_are_refused():
    with pytest.raises(ValueError, match="add up to"):
        SliceObjectConfig(segments=0.9, shapes=0.2)
    with pytest.raises(ValueError, match="at least 1"):
        SliceObjectConfig(objects=0)
