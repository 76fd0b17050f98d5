import pytest

from fmtutor.data.catalog import catalog
from fmtutor.data.taxonomies import taxonomy
from fmtutor.data.templates import TEMPLATES, USES, supervision, templates


def of_key(key):
    return next(row for row in templates("clip_driven") if row.key == key)


def ids(key):
    """The template's classes as the system's own numbers, from 1."""
    places = {row.name: row.channel + 1 for row in taxonomy("clip_driven")}
    return [places[name] for name in of_key(key).classes]


@pytest.mark.parametrize(
    ("key", "numbers"),
    [
        ("01", list(range(1, 15))),
        ("02", [1, 3, 4, 5, 6, 7, 11, 14]),
        ("04", [6, 27]),
        ("05", [2, 3, 26, 32]),
        ("07", [*range(1, 8), 11, 12, 13, 14, 18, 19, 20, 21, 23, 24]),
        ("09", [*range(1, 10), 11, 12, 13, 14, 21, 22]),
        ("10_08", [15, 29]),
        ("12", [2, 3, 6, 16, 17, 21]),
        ("13", [*range(1, 10), 11, 12, 13, 25]),
    ],
)
def test_templates_are_the_published_ones_by_their_class_numbers(key, numbers):
    assert ids(key) == numbers


def test_every_template_has_a_card_its_own_key_and_classes_in_channel_order():
    for name in TEMPLATES:
        rows = templates(name)
        assert len({row.key for row in rows}) == len(rows)
        order = [row.name for row in taxonomy(name)]
        for row in rows:
            assert row.dataset in catalog()
            assert list(row.classes) == sorted(set(row.classes), key=order.index)


def test_the_line_on_clip_driven_counts_right():
    rows = templates("clip_driven")
    used = sum(row.use == "train" for row in rows)
    counts = f"{len(rows)} templates over {len({row.dataset for row in rows})} datasets"
    assert f"{counts}, {used} templates train" in TEMPLATES["clip_driven"]


def test_vessels_lungs_and_most_tumours_hang_on_one_or_two_datasets():
    taught = supervision("clip_driven")
    counts = {name: len(datasets) for name, datasets in taught.items()}
    assert counts["hepatic_vessels"] == 1
    assert taught["lung_right"] == taught["lung_left"] == ("ct_org",)
    assert counts["lung_lesion"] == counts["colon_lesion"] == counts["celiac_trunk"] == 1
    assert taught["liver_lesion"] == ("lits", "msd_liver")
    assert min(counts.values()) == 1, "no class goes untaught"
    assert max(counts, key=lambda name: counts[name]) == "liver"
    assert sum(count <= 2 for count in counts.values()) > len(counts) / 2


def test_a_dataset_with_two_keys_counts_once():
    assert supervision("clip_driven")["spleen"].count("btcv") == 1


def test_what_does_not_train_counts_only_when_asked_for():
    assert "totalsegmentator_v1" not in supervision("clip_driven")["aorta"]
    assert "totalsegmentator_v1" in supervision("clip_driven", uses=USES)["aorta"]


def test_a_system_without_templates_is_refused():
    with pytest.raises(ValueError, match="unknown loss templates 'clip_drive'; did you mean clip_"):
        templates("clip_drive")
