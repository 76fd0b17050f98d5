import numpy as np
import pytest

from fmtutor.paradigms.reference.planning import feature_bytes, plan, pooling, target_spacing


def test_the_rules_give_the_published_patch_for_a_dataset_like_lits() -> None:
    rules = plan([(512, 512, 482)] * 131, [(0.767, 0.767, 1.0)] * 131)
    assert rules.patch == (128, 128, 128)
    assert rules.batch == 2
    assert rules.channels == (32, 64, 128, 256, 320, 320)


def test_thick_slices_are_refined_and_pooled_later() -> None:
    shapes, spacings = [(320, 320, 20)] * 10, [(0.6, 0.6, 3.6)] * 9 + [(0.6, 0.6, 2.0)]
    spacing = target_spacing(shapes, spacings)
    assert spacing[:2] == (0.6, 0.6)
    assert 2.0 < spacing[2] < 3.6
    strides = plan(shapes, spacings).strides
    assert strides[1] == (2, 2, 1)
    assert any(step[2] == 2 for step in strides)


def test_no_axis_is_pooled_below_four_voxels() -> None:
    patch = (64, 48, 12)
    strides = pooling(patch, (1.0, 1.0, 1.0))
    assert all(size / step >= 3 for size, step in zip(patch, np.prod(strides, axis=0), strict=True))
    assert strides[0] == (1, 1, 1)


def test_a_plan_keeps_its_memory_and_divides_its_patch() -> None:
    for memory_gib in (0.25, 2.0, 24.0):
        rules = plan([(400, 380, 300)] * 60, [(0.9, 0.9, 1.5)] * 60, memory_gib=memory_gib)
        assert not np.any(np.array(rules.patch) % np.prod(rules.strides, axis=0))
        need = feature_bytes(rules.patch, rules.strides, rules.channels)
        assert rules.batch * need <= memory_gib * 2**30


def test_a_plan_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="a shape and a spacing per case"):
        plan([(64, 64, 64)], [])
    with pytest.raises(ValueError, match="raise memory_gib"):
        plan([(64, 64, 64)], [(1.0, 1.0, 1.0)], memory_gib=1e-4)
