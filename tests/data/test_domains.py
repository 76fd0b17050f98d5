"""What the lessons promise about the centres, checked on their declarations (nothing is grown)."""

from dataclasses import fields, replace

import pytest

from fmtutor.core.configs import fingerprint
from fmtutor.data.anatomy import KNOWN_STRUCTURES, NOVEL_STRUCTURES, expand
from fmtutor.data.domains import CENTRES, TARGET, WIDE, Centre, Domain, centre, region_of
from fmtutor.data.regions import Vocabulary

TRAINING = (*CENTRES.values(), WIDE)
SHIFTED = ("scale_inplane", "scale_axial", "fat_mm", "coarse_mm", "fine_mm", "noise_hu", "slice_mm")
"""Ranges in which the target lies outside every training centre."""
NOVEL = {part for name in NOVEL_STRUCTURES for part in expand(name, lesions=True)}


@pytest.mark.parametrize("name", SHIFTED)
@pytest.mark.parametrize("training", CENTRES.values(), ids=lambda c: c.name)
def test_the_target_lies_outside_the_ranges_of_every_training_centre(name, training):
    low, high = getattr(TARGET.domain, name)
    there = getattr(training.domain, name)
    assert high <= there[0] or low >= there[1]


@pytest.mark.parametrize("each", [*TRAINING, TARGET], ids=lambda c: c.name)
def test_ranges_run_upwards_and_shares_are_probabilities(each):
    for field in fields(Domain):
        value = getattr(each.domain, field.name)
        if isinstance(value, tuple) and isinstance(value[0] if value else None, int | float):
            assert value[0] <= value[1], field.name
    shares = [each.domain.slab, each.domain.arms, each.domain.table, each.domain.synthetic]
    shares += [p for _, p in (*each.domain.removal, *each.domain.lesion)]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(weight for _, weight in each.domain.phases) > 0


@pytest.mark.parametrize("each", [*TRAINING, TARGET], ids=lambda c: c.name)
def test_no_protocol_holds_a_novel_structure_or_a_part_of_one(each):
    drawn = {part for region in each.protocol.regions for part in region.structures}
    assert not NOVEL & drawn
    assert not NOVEL & {region.name for region in each.protocol.regions}


def test_no_vocabulary_of_training_centres_names_a_novel_structure():
    protocols = [each.protocol for each in TRAINING]
    for vocabulary in (Vocabulary.shared(protocols), Vocabulary.per_protocol(protocols)):
        assert not NOVEL & {name.split("/")[-1] for name in vocabulary.names}
        table = dict(enumerate(sorted(NOVEL), start=1))
        assert not any(vocabulary.lut(task, table).any() for task in range(len(protocols)))


def test_the_wide_centre_and_the_target_annotate_every_known_structure():
    for each in (WIDE, TARGET):
        assert set(KNOWN_STRUCTURES) <= {region.name for region in each.protocol.regions}
    taught = {region.name for each in CENTRES.values() for region in each.protocol.regions}
    assert set(KNOWN_STRUCTURES) <= taught | {"kidneys"}


def test_the_protocols_contradict_each_other_as_public_datasets_do():
    def drawn(name, region):
        return CENTRES[name].protocol.region(region).structures

    assert drawn("liver_unit", "liver") == {"liver", "liver_lesion"}
    assert drawn("abdomen_atlas", "liver") == {"liver"}
    assert drawn("spine_clinic", "aorta") == {"aorta_infrarenal"}
    assert drawn("abdomen_atlas", "aorta") >= {"aorta_suprarenal", "aorta_infrarenal"}
    merged = drawn("survey", "kidneys")
    assert merged == drawn("kidney_unit", "kidney_left") | drawn("kidney_unit", "kidney_right")
    assert CENTRES["liver_unit"].protocol.region("spleen") is None


def test_an_organ_is_scored_with_its_lesions_and_other_names_as_they_are():
    assert region_of("liver").structures == {"liver", "liver_lesion"}
    assert region_of("spleen").structures == {"spleen"}


def test_a_centre_is_found_by_name_and_a_wrong_name_gets_a_suggestion():
    assert centre("target_hospital") is TARGET
    assert centre("wide") is WIDE
    with pytest.raises(ValueError, match=r"unknown centre 'livr_unit'; did you mean liver_unit"):
        centre("livr_unit")


def test_any_range_or_rule_of_a_centre_changes_its_fingerprint():
    one = CENTRES["survey"]
    others = (
        Centre(replace(one.domain, noise_hu=(1, 2)), one.protocol),
        Centre(one.domain, replace(one.protocol, regions=one.protocol.regions[:-1])),
    )
    assert len({fingerprint(each) for each in (one, *others)}) == 3
