"""Virtual patients: the same keys give the same case, and its labels are true."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fmtutor.data.anatomy import NOVEL_STRUCTURES, expand
from fmtutor.data.cohort import ORGANS, Template, draw, grow, realise, template
from fmtutor.data.deformation import HALVING, jacobian_determinant, sample_at
from fmtutor.data.domains import CENTRES, TARGET, WIDE
from fmtutor.data.samples import load_sample

ALL = (*CENTRES.values(), TARGET, WIDE)
pytestmark = pytest.mark.usefixtures("samples")


@pytest.fixture(scope="session")
def liver_case(samples):
    """A liver unit's patient of full length with a liver lesion, in portal phase."""
    centre = CENTRES["liver_unit"]
    recipe = replace(
        draw(centre, 1), length_mm=400.0, lesions=("liver",), removed=("spleen",), slice_mm=3.0
    )
    return realise(centre, recipe, name="liver")


@pytest.fixture(scope="session")
def target_case(samples):
    """A whole patient of the target centre, without noise."""
    recipe = replace(
        draw(TARGET, 0), length_mm=400.0, removed=(), lesions=(), noise_hu=0.5, slice_mm=3.0
    )
    return realise(TARGET, recipe, name="target")


def test_the_same_keys_draw_the_same_patient_and_any_other_key_another():
    one = draw(WIDE, 3, 0)
    assert draw(WIDE, 3, 0) == one
    others = (draw(WIDE, 4, 0), draw(WIDE, 3, 1), draw(TARGET, 3, 0))
    assert len({other.warp.noise_seed for other in (one, *others)}) == 4
    assert len({other.seed for other in (one, *others)}) == 4
    assert len({other.warp.scale for other in (one, *others)}) == 4


def test_the_same_keys_grow_the_same_voxels():
    one, again, other = grow(WIDE, 0), grow(WIDE, 0), grow(WIDE, 0, seed=1)
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.labels, again.labels)
    assert one.name == "wide-0-0000" != other.name
    same_shape = other.image.shape == one.image.shape
    assert not (same_shape and np.array_equal(one.labels, other.labels))


def test_a_negative_index_is_refused():
    with pytest.raises(ValueError, match="index must be 0 or more, got -1"):
        draw(WIDE, -1)


def test_a_template_without_labels_is_refused():
    with pytest.raises(ValueError, match="the template needs labels"):
        Template(replace(load_sample("torso"), labels=None))


@pytest.mark.parametrize("centre", ALL, ids=lambda c: c.name)
def test_draws_stay_in_the_ranges_of_the_centre(centre):
    domain = centre.domain
    for recipe in (draw(centre, index) for index in range(60)):
        limits = {"noise_hu": recipe.noise_hu, "slice_mm": recipe.slice_mm, "kernel": recipe.kernel}
        limits |= {"fat_mm": recipe.warp.fat_mm, "coarse_mm": recipe.warp.coarse_mm}
        limits |= {"fine_mm": recipe.warp.fine_mm, "scale_axial": recipe.warp.scale[2]}
        for name, value in limits.items():
            low, high = getattr(domain, name)
            assert low <= value <= high, name
        assert recipe.phase in dict(domain.phases)
        assert set(recipe.lesions) <= set(dict(domain.lesion))
        assert set(recipe.removed) <= set(dict(domain.removal))
        assert set(recipe.warp.organs) == set(ORGANS)


@pytest.mark.parametrize("centre", ALL, ids=lambda c: c.name)
def test_no_map_folds_and_each_is_invertible(centre):
    deformer = template().deformer
    for index in (0, 3):
        warp = draw(centre, index).warp
        u = deformer.displacement(warp)
        assert jacobian_determinant((deformer.grid + u) / HALVING).min() > 0
        back = -deformer.velocity(warp) / 32  # the flow run backwards
        for _ in range(5):
            back = back + sample_at(back, (deformer.grid + back) / HALVING)
        error = (back + sample_at(u, (deformer.grid + back) / HALVING)).norm(dim=0)
        inside = error[8:-8, 8:-8, 8:-8]
        furthest = u.norm(dim=0).max()
        assert furthest > 5
        assert inside.median() < 0.01 * furthest
        assert inside.quantile(0.99) < 0.1 * furthest


def test_labels_follow_the_image(target_case):
    def median(name):
        return float(np.median(target_case.image[target_case.mask(name)]))

    soft = ("liver", "spleen", "kidney_left", "stomach", "autochthon_left", "urinary_bladder")
    assert all(-60 < median(name) < 330 for name in soft)
    assert median("hip_left") > 80
    assert median("aorta_infrarenal") > median("autochthon_left") + 30
    everything = target_case.labels > 0
    assert (target_case.image[everything] < -400).mean() < 0.06


def test_the_target_holds_every_structure_of_the_torso_and_known_is_its_protocol(target_case):
    names = set(target_case.table.values())
    assert set(NOVEL_STRUCTURES) <= names
    assert target_case.mask("gluteus_maximus_left").any()
    assert target_case.known == {
        part for region in TARGET.protocol.regions for part in region.structures
    }


@pytest.mark.parametrize("centre", [*CENTRES.values(), WIDE], ids=lambda c: c.name)
def test_no_novel_structure_is_in_a_training_case(centre):
    recipe = replace(draw(centre, 2), length_mm=60.0, start=0.1, arms=False, table=False)
    case = realise(centre, recipe, name="short")  # the pelvis, where the novel structures are
    novel = {part for name in NOVEL_STRUCTURES for part in expand(name, lesions=True)}
    assert not novel & set(case.table.values())
    assert not novel & case.known
    assert set(np.unique(case.labels)) <= {0, *case.table}


def test_a_lesion_is_cut_out_of_its_organ_and_a_removed_organ_is_gone(liver_case):
    lesion, liver = liver_case.mask("liver_lesion"), liver_case.mask("liver")
    assert lesion.sum() > 20
    assert not (lesion & liver).any()
    assert not liver_case.mask("spleen").any()
    assert liver_case.known == {"liver", "liver_lesion"}


def test_the_aorta_ends_where_a_protocol_says(target_case):
    upper, lower = target_case.mask("aorta_suprarenal"), target_case.mask("aorta_infrarenal")
    assert upper.any()
    assert lower.any()
    heights = [np.nonzero(part)[2].mean() for part in (lower, upper)]
    assert heights[0] < heights[1]


def test_a_case_lies_in_the_frame_of_the_torso_and_is_whole_hu(target_case):
    assert target_case.spacing_mm == (3.0, 3.0, 3.0)
    assert target_case.grid.orientation == "RAS"
    assert target_case.image.dtype == np.float32
    assert target_case.image.min() >= -1024
    assert target_case.image.max() <= 3071
    assert np.array_equal(target_case.image, np.round(target_case.image))
    assert "grown from the torso" in target_case.provenance


def test_arms_and_couch_need_room_and_a_slab_is_thin():
    recipe = replace(draw(WIDE, 5), length_mm=45.0, arms=False, table=False)
    thin = realise(WIDE, recipe, name="thin").image.shape
    roomy = realise(WIDE, replace(recipe, arms=True, table=True), name="roomy").image.shape
    assert thin[2] == roomy[2] == 15
    assert roomy[0] == thin[0] + 48
    assert roomy[1] == thin[1] + 15


def test_intensities_drawn_anew_leave_the_labels_as_they_are():
    recipe = replace(draw(WIDE, 5), length_mm=60.0, lesions=(), synthetic=False)
    plain, drawn = (
        realise(WIDE, replace(recipe, synthetic=flag), name="x") for flag in (False, True)
    )
    assert np.array_equal(plain.labels, drawn.labels)
    assert np.abs(plain.image - drawn.image)[plain.labels > 0].mean() > 25


def test_growing_does_not_depend_on_global_random_state():
    recipe = replace(draw(WIDE, 5), length_mm=45.0)
    one = realise(WIDE, recipe, name="x").image
    torch.manual_seed(7)
    np.random.seed(7)
    assert np.array_equal(one, realise(WIDE, recipe, name="x").image)
