import re

import pytest

from fmtutor.data.anatomy import (
    BRAIN_TABLES,
    GROUPS,
    KNOWN_STRUCTURES,
    NOVEL_STRUCTURES,
    STRUCTURES,
    TOTALSEGMENTATOR_MR,
    TOTALSEGMENTATOR_V1,
    TOTALSEGMENTATOR_V2,
    canonical,
    colour_of,
    crosswalk,
    expand,
    label_table,
    read_table,
    table_parts,
)

TABLES = {
    "v1": TOTALSEGMENTATOR_V1,
    "v2": TOTALSEGMENTATOR_V2,
    "mr": TOTALSEGMENTATOR_MR,
    **BRAIN_TABLES,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_label_table_names_each_structure_once_and_no_unknown_one(name):
    names = list(TABLES[name].values())
    assert set(names) <= set(STRUCTURES)
    assert len(set(names)) == len(names)
    assert all(number > 0 for number in TABLES[name])


def test_totalsegmentator_tables_have_the_published_sizes_and_ids():
    assert sorted(TOTALSEGMENTATOR_V1) == list(range(1, 105))
    assert sorted(TOTALSEGMENTATOR_V2) == list(range(1, 118))
    assert sorted(TOTALSEGMENTATOR_MR) == list(range(1, 51))
    assert TOTALSEGMENTATOR_V2[5] == TOTALSEGMENTATOR_V1[5] == TOTALSEGMENTATOR_MR[5] == "liver"
    assert (TOTALSEGMENTATOR_V1[7], TOTALSEGMENTATOR_V2[52]) == ("aorta", "aorta")


def test_label_files_repeat_no_id():
    for name in ("totalsegmentator_v2", "brain_aal", "brain_desikan_killiany"):
        assert len(label_table(name)) == len(read_table(f"labels/{name}.csv"))


def test_the_structure_tree_has_no_cycle_and_no_dangling_parent():
    for name in STRUCTURES:
        up, seen = name, set()
        while up:
            assert up in STRUCTURES
            assert up not in seen, f"{name} is part of itself"
            seen.add(up)
            up = STRUCTURES[up].part_of


def test_names_are_unique_without_case_and_sides_match_names():
    rows = read_table("structures.csv")
    assert len({row["name"].lower() for row in rows}) == len(rows)
    for row in rows:
        assert row["side"] == next(
            (s for s in ("left", "right") if s in row["name"].split("_")), ""
        )


def test_each_structure_has_a_colour_and_the_known_ones_differ_clearly():
    assert all(re.fullmatch("#[0-9a-f]{6}", row.colour) for row in STRUCTURES.values())
    rgb = [[int(colour_of(name)[i : i + 2], 16) for i in (1, 3, 5)] for name in KNOWN_STRUCTURES]
    for i, one in enumerate(rgb):
        for other in rgb[:i]:
            assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) >= 24


def test_known_and_novel_structures_never_overlap_not_even_by_their_parts():
    assert (len(KNOWN_STRUCTURES), len(NOVEL_STRUCTURES)) == (15, 13)
    known = {part for name in KNOWN_STRUCTURES for part in expand(name, lesions=True)}
    novel = {part for name in NOVEL_STRUCTURES for part in expand(name, lesions=True)}
    assert known.isdisjoint(novel)
    assert "vertebrae_S1" in novel


def test_vertebrae_are_the_24_free_ones_on_ct_and_one_label_on_mr():
    assert len(GROUPS["vertebrae"]) == 24
    assert len(table_parts("vertebrae", TOTALSEGMENTATOR_V2.values())) == 24
    assert table_parts("vertebrae", TOTALSEGMENTATOR_MR.values()) == ("vertebrae",)


def test_groups_hold_smallest_parts_and_never_lesions():
    for name, parts in GROUPS.items():
        assert len(parts) > 1
        assert all(STRUCTURES[part].group != "lesion" and part not in GROUPS for part in parts)
        assert set(parts) < set(expand(name))
    assert "sacrum" not in GROUPS
    assert len(GROUPS["ribs"]) == 24


def test_lesions_belong_to_an_organ_only_when_asked_for():
    assert expand("liver") == ("liver",)
    assert "liver_lesion" in expand("liver", lesions=True)
    assert set(expand("kidney_lesion")) == {
        "kidney_lesion",
        "kidney_lesion_left",
        "kidney_lesion_right",
    }


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Gall Bladder", "gallbladder"),
        ("postcava", "inferior_vena_cava"),
        ("Left Head of Femur", "femoral_head_left"),
        ("IVC", "inferior_vena_cava"),
        ("celiac_truck", "celiac_trunk"),
        ("Vertebrae l1", "vertebrae_L1"),
        ("portal-vein and splenic vein", "portal_vein_and_splenic_vein"),
    ],
)
def test_other_spellings_resolve(spelling, name):
    assert canonical(spelling) == name


def test_every_synonym_resolves_to_a_structure_and_hides_none():
    rows = read_table("synonyms.csv")
    assert len({row["synonym"] for row in rows}) == len(rows)
    for row in rows:
        assert row["synonym"] not in STRUCTURES
        assert canonical(row["synonym"]) == canonical(row["synonym"].upper()) == row["name"]
        assert row["name"] in STRUCTURES


def test_an_unknown_structure_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match=r"unknown structure 'splen'; did you mean .*spleen"):
        canonical("splen")


def test_crosswalk_matches_by_meaning_and_leaves_out_what_the_other_list_lacks():
    ours = ["Gall Bladder", "Postcava", "Colon Tumor"]
    theirs = ["inferior_vena_cava", "liver", "gallbladder"]
    expected = {"Gall Bladder": "gallbladder", "Postcava": "inferior_vena_cava"}
    assert crosswalk(ours, theirs) == expected


def test_crosswalk_refuses_two_names_of_one_structure():
    with pytest.raises(ValueError, match="'IVC' and 'postcava' are both 'inferior_vena_cava'"):
        crosswalk(["IVC", "postcava"], ["aorta"])


def test_crosswalk_from_v1_to_v2_keeps_all_but_what_v2_dropped():
    walk = crosswalk(TOTALSEGMENTATOR_V1.values(), TOTALSEGMENTATOR_V2.values())
    dropped = set(TOTALSEGMENTATOR_V1.values()) - set(walk)
    assert dropped == {
        "heart_myocardium", "heart_atrium_left", "heart_ventricle_left", "heart_atrium_right",
        "heart_ventricle_right", "pulmonary_artery", "face",
    }  # fmt: skip


def test_brain_atlases_share_deep_structures_and_keep_their_own_parcels():
    dk, aal = (set(BRAIN_TABLES[name].values()) for name in ("desikan_killiany", "aal"))
    assert {"hippocampus_left", "thalamus_right", "amygdala_left"} <= dk & aal
    assert not any(name.startswith(("dk_", "aal_")) for name in dk & aal)
    lobe = table_parts("frontal_lobe_left", dk)
    assert "dk_precentral_left" in lobe
    assert "dk_parstriangularis_left" in lobe
    assert all(name.endswith("_left") for name in lobe)
