"""The table of sources agrees with the catalog and says nothing that it cannot know."""

import re

import pytest

from fmtutor.data.anatomy import STRUCTURES
from fmtutor.data.sources import parse_source, source, sources

RAW = {"number": 1, "folder": "A", "by_hand": ["ask"], "labels": {1: "spleen"}}


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_source_annotates_what_its_card_lists_with_sides_split(name):
    of = source(name)
    sided = {part for pair in of.sides.values() for part in pair}
    listed = {target.name for target in of.card.targets}
    organs = {key for key in of.sides if key in listed and STRUCTURES[key].group != "lesion"}
    names = {region.name for region in of.protocol.regions}
    assert names - sided == listed - organs - sided
    assert names >= listed - organs
    assert {part for key in organs for part in of.sides[key]} <= names
    covered = frozenset().union(*(region.structures for region in of.protocol.regions))
    assert covered <= set(of.written)


def test_numbers_and_folders_differ():
    numbers = sorted(of.number for of in sources().values())
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) == source("ircadb").number, "which may need several from there on"


def test_a_lesion_that_a_protocol_counts_to_the_organ_is_in_its_region():
    regions = {region.name: region.structures for region in source("kits").protocol.regions}
    assert regions["kidney_left"] == {"kidney_left", "kidney_lesion_left", "kidney_cyst_left"}
    assert regions["kidney_lesion"] == {"kidney_lesion_left", "kidney_lesion_right"}
    assert source("lits").protocol.regions[0].structures == {"liver", "liver_lesion"}


def test_each_checksum_says_who_states_it_and_each_address_is_public():
    for of in sources().values():
        for remote in of.files:
            assert bool(remote.checksum) == bool(remote.checksum_from), remote.name
            assert re.match(r"https://[a-z0-9.-]+\.[a-z]+/", remote.url)
            length = {"md5": 32, "sha256": 64, "": 0}[remote.checksum.partition(":")[0]]
            assert re.fullmatch(rf"[0-9a-f]{{{length}}}", remote.checksum.partition(":")[2])


def test_a_count_makes_one_file_for_each_number():
    files = source("kits").files
    assert len(files) == 600
    assert files[299].name == "case_00299/imaging.nii.gz"
    assert files[299].url.endswith("/master_00299.nii.gz")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"licence": "x"}, "unknown fields"),
        ({"by_hand": []}, "needs files or by_hand"),
        ({"labels": {1: "spleeen"}}, "did you mean spleen"),
        ({"sides": {"kidneys": ["kidney_left", "kidney"]}}, "structure of source"),
        ({"files": [{"name": "a", "url": "u", "checksum": "crc:1"}]}, "a checksum is one of"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(change, told):
    with pytest.raises(ValueError, match=told):
        parse_source("msd_spleen", RAW | change)


def test_labels_must_make_up_the_cards_targets():
    of = parse_source("msd_spleen", RAW | {"labels": {1: "liver"}})
    with pytest.raises(ValueError, match=r"must make up every target .* 'spleen'"):
        _ = of.protocol
