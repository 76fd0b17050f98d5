import pytest

from fmtutor.data.anatomy import canonical
from fmtutor.data.taxonomies import TAXONOMIES, channel_map, protocols, taxonomy


@pytest.mark.parametrize(
    ("name", "size"), [("fseft", 29), ("clip_driven", 32), ("multitalent", 47)]
)
def test_taxonomies_have_the_published_sizes(name, size):
    assert len(taxonomy(name)) == size


def test_every_source_name_means_the_structure_it_is_given():
    for name in TAXONOMIES:
        for row in taxonomy(name):
            if (name, row.source_name) != ("clip_driven", "Prostate"):  # AMOS: prostate or uterus
                assert canonical(row.source_name) == row.name


def test_channels_are_matched_by_structure_and_not_by_index():
    walk = channel_map("fseft", "clip_driven")
    fseft, clip = taxonomy("fseft"), taxonomy("clip_driven")
    assert walk[8] == 8, "postcava has the same place"
    assert (fseft[14].source_name, clip[walk[14]].source_name) == ("bladder", "Bladder")
    assert walk[14] == 20
    assert all(fseft[a].name == clip[b].name for a, b in walk.items())
    assert not any(fseft[a].name in ("bone", "brain") for a in walk)


def test_multitalent_keeps_a_channel_per_dataset_so_contradictions_can_stand():
    groups = {protocol.name: protocol for protocol in protocols("multitalent")}
    assert [len(protocol.regions) for protocol in groups.values()] == [
        2,
        1,
        2,
        2,
        1,
        1,
        13,
        8,
        6,
        4,
        1,
        2,
        4,
    ]
    assert "liver_lesion" in groups["msd_liver"].region("liver").structures
    assert groups["btcv"].region("liver").structures == {"liver"}


def test_clip_driven_organs_include_tumours_and_fsefts_do_not():
    clip, fseft = protocols("clip_driven")[0], protocols("fseft")[0]
    assert "liver_lesion" in clip.region("liver").structures
    assert "liver_lesion" not in fseft.region("liver").structures


def test_a_system_without_shared_channels_has_no_channel_map():
    with pytest.raises(ValueError, match="'multitalent' has a channel per dataset"):
        channel_map("fseft", "multitalent")


def test_an_unknown_taxonomy_is_refused():
    with pytest.raises(ValueError, match="unknown taxonomy 'fsef'; did you mean fseft"):
        taxonomy("fsef")
