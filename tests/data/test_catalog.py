import pytest

from fmtutor.data.anatomy import STRUCTURES
from fmtutor.data.catalog import catalog, dataset, parse_card, which_annotates

RAW = {
    "title": "Toy",
    "modality": "CT",
    "scans": {"total": 10, "labelled": 4},
    "targets": [{"name": "liver", "includes": ["liver_lesion"]}, "spleen"],
    "protocol": ["drawn by hand"],
    "licence": "CC0",
    "access": "open",
    "link": "https://example.org",
    "citation": "Nobody. Nothing. 2020.",
}


def test_all_cards_load_and_cover_the_talk_and_the_later_sets():
    cards = catalog()
    assert {
        "abdomenatlas_1_0",
        "abdomenatlas_1_1",
        "totalsegmentator_v2",
        "flare22",
        "acdc",
    } <= set(cards)
    rows = {card.talk.row for card in cards.values() if card.talk}
    assert rows == {*map(str, range(1, 7)), "7-11", *map(str, range(12, 18))}


def test_every_card_says_where_it_comes_from_and_how_it_was_drawn():
    for card in catalog().values():
        assert card.link.startswith(("https://", "http://"))
        assert card.protocol
        assert card.licence
        assert card.citation.rstrip(".")[-4:].isdigit()
        assert set(card.names) <= set(STRUCTURES)


def test_cards_have_the_published_numbers_of_targets():
    sizes = {name: len(card.targets) for name, card in catalog().items()}
    assert sizes["btcv"] == 13
    assert sizes["amos22"] == 15
    assert sizes["word"] == 16
    assert sizes["totalsegmentator_v1"] == 104
    assert sizes["totalsegmentator_v2"] == 117
    assert sizes["abdomenatlas_1_1"] == 25
    assert sizes["flare22"] == 13


def test_a_difference_between_a_card_and_the_talk_is_explained_as_a_slip():
    for card in catalog().values():
        if card.talk is None or card.talk.row == "7-11":
            continue
        differs = card.talk.targets != len(card.targets) or card.talk.scans not in (
            card.scans,
            card.labelled,
        )
        assert not differs or card.slips, card.name


def test_the_six_tasks_of_the_decathlon_make_the_talks_nine_targets():
    cards = [card for card in catalog().values() if card.talk and card.talk.row == "7-11"]
    assert len(cards) == 6
    assert sum(len(card.targets) for card in cards) == cards[0].talk.targets == 9
    assert abs(sum(card.labelled for card in cards) - cards[0].talk.scans) == 1


def test_a_liver_with_its_tumours_is_another_region_than_a_liver():
    with_tumour = dataset("lits").as_protocol().region("liver").structures
    assert {"liver", "liver_lesion"} <= with_tumour
    assert dataset("btcv").as_protocol().region("liver").structures == {"liver"}


def test_merged_kidneys_hold_both_sides():
    region = dataset("kits").as_protocol().region("kidneys").structures
    assert {"kidney_left", "kidney_right", "kidney_lesion_left", "kidney_cyst_right"} <= region


def test_which_annotates_tells_own_classes_from_merged_ones():
    assert "kits" not in which_annotates("kidney_left")
    assert "kits" in which_annotates("kidney_left", merged=True)
    assert "kits" in which_annotates("kidneys")
    assert "btcv" in which_annotates("kidneys"), "left and right make both"
    assert which_annotates("colon tumor") == ("msd_colon",)
    assert "chaos_ct" not in which_annotates("spleen")


def test_an_organ_does_not_annotate_its_lesion():
    assert dataset("btcv").coverage("liver_lesion") == "none"
    assert dataset("jhh").coverage("pancreas_lesion") == "own"


def test_an_unknown_dataset_or_structure_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown dataset 'lit'; did you mean .*lits"):
        dataset("lit")
    with pytest.raises(ValueError, match="unknown structure"):
        which_annotates("philtrum")


def test_a_good_card_parses():
    card = parse_card("toy", RAW)
    assert card.names == ("liver", "spleen")
    assert card.coverage("liver") == "own"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": ["Gall Bladder"]}, "write 'gallbladder' for 'Gall Bladder'"),
        ({"targets": ["liver", "liver"]}, "names a target twice"),
        ({"targets": ["nonsense"]}, "unknown structure 'nonsense'"),
        ({"scans": {"total": 3, "labelled": 4}}, "0 < labelled <= total"),
        ({"access": "maybe"}, "access is one of"),
        ({"colour": "red"}, "unknown fields"),
        ({"target_table": "totalsegmentator_v1"}, "either targets or target_table"),
    ],
)
def test_a_card_that_breaks_a_rule_is_refused_with_its_name(change, message):
    with pytest.raises(ValueError, match=message):
        parse_card("toy", RAW | change)


def test_a_card_without_a_licence_is_refused():
    with pytest.raises(ValueError, match="card 'toy' lacks \\['licence'\\]"):
        parse_card("toy", {key: value for key, value in RAW.items() if key != "licence"})
