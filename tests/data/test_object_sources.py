import pytest

from fmtutor.data import object_sources as sources
from fmtutor.data.domains import CENTRES, WIDE
from fmtutor.data.samples import is_cached


def test_every_centre_teaches_and_the_shares_add_up():
    found, weights = sources.object_sources(patients=2, wide_patients=3)
    names = [source.protocol.name for source in found]
    assert names == [*CENTRES, WIDE.name, "brain"]
    assert sum(weights) == pytest.approx(1.0)
    assert weights[-1] == 0.15
    assert "target_hospital" not in names


def test_the_brain_can_be_left_out():
    found, weights = sources.object_sources(brain=0.0)
    assert found[-1].protocol.name == WIDE.name
    assert sum(weights) == pytest.approx(1.0)


def test_the_free_brain_has_tissues_and_an_atlas_comes_on_request_alone():
    regions = {r.name for r in sources.BrainSource().protocol.regions}
    assert regions == {"grey_matter", "cerebral_white_matter", "brain"}
    assert len(sources.BrainSource("desikan_killiany").protocol.regions) > 50
    with pytest.raises(IndexError):
        sources.BrainSource()[1]


@pytest.mark.skipif(not is_cached("brain_tissue"), reason="the brain is not in the cache")
def test_a_brain_is_labelled_by_its_protocol():
    source = sources.BrainSource()
    case = source[0]
    assert case.modality == "MR"
    assert {s for r in source.protocol.regions for s in r.structures} == set(case.table.values())
