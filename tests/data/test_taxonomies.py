import csv
from collections import Counter
from importlib.resources import files

import pytest

from fmtutor.data.anatomy import STRUCTURES, TOTALSEGMENTATOR_V2, canonical
from fmtutor.data.catalog import dataset
from fmtutor.data.taxonomies import TAXONOMIES, channel_map, coverage, protocols, taxonomy

SPOKEN_OTHERWISE = {
    ("clip_driven", "Prostate"),  # AMOS: prostate or uterus
    ("abdomen_atlas_25", "prostate"),
    ("uniseg", "edema"),  # of the brain, in BraTS
    ("uniseg", "non-enhancing tumour"),
    ("uniseg", "enhancing tumour"),
    ("uniseg", "tumour lesion"),  # AutoPET, any organ
    ("hermes", "tumour lesion"),
}


def by_protocol(name):
    return {protocol.name: protocol for protocol in protocols(name)}


def structures(name, protocol, region):
    return by_protocol(name)[protocol].region(region).structures


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("fseft", 29),
        ("clip_driven", 32),
        ("multitalent", 47),
        ("abdomen_atlas_9", 9),
        ("abdomen_atlas_25", 25),
        ("mots", 14),
        ("uniseg", 17),
        ("hermes", 71),
        ("vista3d", 132),
        ("totalsegmentator", 117),
    ],
)
def test_taxonomies_have_the_published_sizes(name, size):
    assert len(taxonomy(name)) == size


def test_every_taxonomy_file_is_listed_and_every_listed_taxonomy_reads():
    folder = files("fmtutor.data") / "tables" / "taxonomies"
    found = {path.name.removesuffix(".csv") for path in folder.iterdir()}
    assert found <= set(TAXONOMIES)
    assert set(TAXONOMIES) - found == {"totalsegmentator"}, "kept once, as a label table"


def test_every_taxonomy_file_has_the_same_columns():
    for path in (files("fmtutor.data") / "tables" / "taxonomies").iterdir():
        header = next(csv.reader(path.read_text("utf-8").splitlines()))
        assert header == ["channel", "protocol", "source_name", "name", "includes"]


def test_every_source_name_means_the_structure_it_is_given():
    for name in TAXONOMIES:
        for row in taxonomy(name):
            if row.annotated and (name, row.source_name) not in SPOKEN_OTHERWISE:
                assert canonical(row.source_name) == row.name


def test_sides_in_the_source_name_and_in_the_structure_agree():
    sides = {"right": "right", "left": "left", "r": "right", "l": "left"}
    for name in TAXONOMIES:
        for row in taxonomy(name):
            words = row.source_name.lower().replace("_", " ").split()
            said = next((sides[word] for word in words if word in sides), None)
            if row.annotated and said:
                assert said in row.name.split("_"), row


def test_source_names_and_structures_are_unique_within_a_protocol():
    for name in TAXONOMIES:
        rows = taxonomy(name)
        assert len({(row.protocol, row.source_name) for row in rows}) == len(rows)
        named = [(row.protocol, row.name) for row in rows if row.annotated]
        assert len(set(named)) == len(named)


def test_channels_are_matched_by_structure_and_not_by_index():
    walk = channel_map("fseft", "clip_driven")
    fseft, clip = taxonomy("fseft"), taxonomy("clip_driven")
    assert walk[8] == 8, "postcava has the same place"
    assert (fseft[14].source_name, clip[walk[14]].source_name) == ("bladder", "Bladder")
    assert walk[14] == 20
    assert all(fseft[a].name == clip[b].name for a, b in walk.items())
    assert not any(fseft[a].name in ("bone", "brain") for a in walk)


@pytest.mark.parametrize("target", ["clip_driven", "totalsegmentator", "vista3d", "hermes/amos"])
def test_kidney_sides_are_never_swapped_between_systems(target):
    walk = channel_map("abdomen_atlas_25", target)
    ours, theirs = taxonomy("abdomen_atlas_25"), taxonomy(target.partition("/")[0])
    pairs = {ours[a].name: theirs[b].source_name.lower() for a, b in walk.items()}
    assert "right" in pairs["kidney_right"]
    assert "left" in pairs["kidney_left"]
    assert ours[2].source_name == "kidney_left", "AbdomenAtlas has left first, BTCV has right first"


def test_multitalent_keeps_a_channel_per_dataset_so_contradictions_can_stand():
    groups = by_protocol("multitalent")
    sizes = [len(protocol.regions) for protocol in groups.values()]
    assert sizes == [2, 1, 2, 2, 1, 1, 13, 8, 6, 4, 1, 2, 4]
    assert "liver_lesion" in groups["msd_liver"].region("liver").structures
    assert groups["btcv"].region("liver").structures == {"liver"}


def test_abdomen_atlas_starts_alike_in_both_versions_and_agrees_with_the_dataset_cards():
    small, large = (taxonomy(f"abdomen_atlas_{size}") for size in (9, 25))
    assert large[:9] == small
    assert [row.source_name for row in large][:4] == [
        "aorta",
        "gall_bladder",
        "kidney_left",
        "kidney_right",
    ]
    assert tuple(row.name for row in large) == dataset("abdomenatlas_1_1").names


def test_mots_pairs_organ_and_tumour_and_marks_the_outputs_nobody_annotated():
    rows = taxonomy("mots")
    assert list(dict.fromkeys(row.protocol for row in rows)) == [
        "liver",
        "kidney",
        "hepatic_vessel",
        "pancreas",
        "colon",
        "lung",
        "spleen",
    ]
    assert [row.channel for row in rows if not row.annotated] == [8, 10, 13]
    kinds = [STRUCTURES[row.name].group for row in rows if row.annotated]
    assert Counter(kinds) == {"lesion": 6, "organ": 4, "vessel": 1}


def test_mots_organs_hold_their_tumour_except_the_hepatic_vessel():
    for task, organ in (("liver", "liver"), ("kidney", "kidneys"), ("pancreas", "pancreas")):
        lesion = f"{task}_lesion"
        assert lesion in structures("mots", task, organ)
    vessel = structures("mots", "hepatic_vessel", "hepatic_vessels")
    assert "hepatic_vessel_lesion" not in vessel
    assert [r.name for r in by_protocol("mots")["colon"].regions] == ["colon_lesion"]


def test_an_output_nobody_annotated_has_no_region_and_matches_nothing():
    colon = taxonomy("mots")[8]
    assert (colon.source_name, colon.annotated) == ("colon", False)
    with pytest.raises(ValueError, match=r"output 'colon' \(channel 8\) was never annotated"):
        colon.region()
    assert channel_map("mots/colon", "clip_driven") == {9: 30}
    assert "mots" not in coverage(["colon"])["colon"]


def test_uniseg_has_11_tasks_of_the_published_class_counts_and_organs_without_tumours():
    groups = by_protocol("uniseg")
    counts = [1 + len(protocol.regions) for protocol in groups.values()]
    assert counts == [3, 3, 3, 3, 2, 2, 2, 2, 2, 4, 2]
    assert structures("uniseg", "liver", "liver") == {"liver"}
    assert "vertebrae_L1" in structures("uniseg", "verse", "vertebrae")


def test_hermes_ids_lie_where_its_datasets_begin():
    rows = taxonomy("hermes")
    spans = {
        protocol: [row.channel for row in rows if row.protocol == protocol]
        for protocol in dict.fromkeys(row.protocol for row in rows)
    }
    assert {protocol: (ids[0], ids[-1]) for protocol, ids in spans.items()} == {
        "lits": (0, 1),
        "kits": (2, 3),
        "amos": (4, 18),
        "bcv": (19, 31),
        "structseg_thorax": (32, 37),
        "chaos": (38, 41),
        "structseg_head": (42, 63),
        "mnm": (64, 66),
        "brain": (67, 69),
        "autopet": (70, 70),
    }
    assert structures("hermes", "lits", "liver") == {"liver"}


@pytest.mark.parametrize(
    ("protocol", "card"), [("amos", "amos22"), ("bcv", "btcv"), ("chaos", "chaos_mr")]
)
def test_hermes_follows_the_label_order_of_its_public_datasets(protocol, card):
    names = tuple(row.name for row in taxonomy("hermes") if row.protocol == protocol)
    assert names == dataset(card).names


def test_vista3d_supports_127_of_its_132_ids():
    rows = taxonomy("vista3d")
    assert sum(row.annotated for row in rows) == 127
    given_up = [row.source_name for row in rows if not row.annotated]
    assert all(name.endswith("(deprecated)") for name in given_up)
    places = {row.channel + 1: row.name for row in rows}
    assert (places[1], places[7], places[97]) == ("liver", "inferior_vena_cava", "sacrum")


def test_vista3d_merges_what_it_says_it_merges():
    liver = structures("vista3d", "vista3d", "liver")
    assert {"liver_lesion", "hepatic_vessels"} <= liver
    assert structures("vista3d", "vista3d", "lung_airways") == {"lung_airways", "trachea"}
    assert {"kidney_left", "kidney_right"} <= structures("vista3d", "vista3d", "kidneys")
    assert {"rib_left_1", "vertebrae_C1"} <= structures("vista3d", "vista3d", "bone")


def test_totalsegmentator_is_its_label_table_and_every_class_excludes_the_others():
    rows = taxonomy("totalsegmentator")
    assert {row.channel + 1: row.name for row in rows} == TOTALSEGMENTATOR_V2
    (protocol,) = protocols("totalsegmentator")
    names = {row.name for row in rows}
    for region in protocol.regions:
        assert region.structures & names == {region.name}


def test_vista3d_matches_every_class_of_totalsegmentator():
    walk = channel_map("totalsegmentator", "vista3d")
    assert len(walk) == 117
    assert all(taxonomy("vista3d")[b].name == TOTALSEGMENTATOR_V2[a + 1] for a, b in walk.items())


def test_clip_driven_organs_include_tumours_and_fsefts_do_not():
    assert "liver_lesion" in structures("clip_driven", "clip_driven", "liver")
    assert "liver_lesion" not in structures("fseft", "fseft", "liver")


def test_coverage_says_which_systems_know_a_structure_or_all_its_parts():
    known = coverage(["Celiac Trunk", "lungs", "kidneys", "pet_lesion", "spleen"])
    assert known["celiac_trunk"] == ["clip_driven", "fseft", "abdomen_atlas_25"]
    assert {"totalsegmentator", "vista3d", "fseft", "hermes"} <= set(known["lungs"])
    assert "abdomen_atlas_9" in known["kidneys"]
    assert "abdomen_atlas_9" not in known["lungs"]
    assert known["pet_lesion"] == ["uniseg", "hermes"]
    assert known["spleen"] == list(TAXONOMIES)


def test_a_larger_class_does_not_cover_its_part():
    assert "mots" in coverage(["kidneys"])["kidneys"]
    assert "mots" not in coverage(["kidney_left"])["kidney_left"]


def test_a_system_without_shared_channels_has_no_channel_map_but_its_protocols_have():
    with pytest.raises(ValueError, match="'multitalent' has a channel per dataset"):
        channel_map("fseft", "multitalent")
    assert channel_map("fseft", "multitalent/msd_liver") == {5: 0, 16: 1}


def test_an_unknown_taxonomy_or_protocol_is_refused():
    with pytest.raises(ValueError, match="unknown taxonomy 'fsef'; did you mean fseft"):
        taxonomy("fsef")
    with pytest.raises(ValueError, match=r"unknown protocol of mots 'livr'; did you mean liver"):
        channel_map("mots/livr", "fseft")
