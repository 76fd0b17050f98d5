"""Each volume has one role, and no training may come from a test-only one."""

import re

import pytest

from fmtutor.data.sample_files import ARCHIVES
from fmtutor.data.sample_table import SAMPLES, check_sources, roles_by_sha256, source_sha256s

MEMBERS = [member for archive in ARCHIVES for member in archive.members]
TEST_ONLY = {"abdomen_ct_dicom", "abdomen_mr", "thorax_ct"}


def test_roles_are_those_of_the_design():
    assert {name for name, info in SAMPLES.items() if info.role == "test_only"} == TEST_ONLY
    assert set(SAMPLES) - TEST_ONLY == {"torso", "brain_mni", "brain_tissue"}


def test_every_file_has_one_role_and_every_sample_has_its_files():
    assert len({member.sha256 for member in MEMBERS}) == len(MEMBERS) == len(roles_by_sha256())
    for name, info in SAMPLES.items():
        targets = {member.target for member in MEMBERS if member.sample == name}
        assert {f"{name}/{file}" for file in info.labels.values()} <= targets
        assert any(target.startswith(f"{name}/{info.image}") for target in targets)


def test_pins_are_whole_hashes_and_targets_stay_in_their_sample():
    assert len({member.target for member in MEMBERS}) == len(MEMBERS)
    for pin in (*MEMBERS, *ARCHIVES):
        assert re.fullmatch("[0-9a-f]{64}", pin.sha256)
        assert pin.size > 0
    for member in MEMBERS:
        assert member.target.startswith(f"{member.sample}/")
        assert ".." not in member.target


@pytest.mark.parametrize("name", sorted(TEST_ONLY))
def test_a_test_only_volume_among_the_sources_is_an_error(name):
    digest = source_sha256s(name)[0]
    with pytest.raises(ValueError, match=f"the shipped card must not train.*{name}.*{digest}"):
        check_sources([*source_sha256s("torso"), digest], what="the shipped card")


def test_sources_that_may_grow_data_and_foreign_ones_pass():
    check_sources([*source_sha256s("torso"), *source_sha256s("brain_mni"), "0" * 64])
