from fmtutor.data.domains import CENTRES
from fmtutor.data.modalities import PHASES, PUBLISHED, modality_of
from fmtutor.data.taxonomies import protocols


def test_centres_of_one_phase_have_its_modality_and_mixed_ones_none() -> None:
    assert {name: modality_of(name) for name in CENTRES} == {
        "liver_unit": "CT portal",
        "kidney_unit": "CT arterial",
        "abdomen_atlas": "",
        "bowel_unit": "CT plain",
        "spine_clinic": "",
        "survey": "",
    }
    assert set(PHASES.values()) >= {modality_of(name) for name in CENTRES} - {""}


def test_published_datasets_are_known_by_the_names_of_the_taxonomy() -> None:
    names = {protocol.name for protocol in protocols("hermes")}
    assert set(PUBLISHED) <= names
    assert {name for name in names if not modality_of(name)} == {"amos", "chaos"}
    assert modality_of("somewhere else") == ""
