import numpy as np

from fmtutor.data.anatomy import NOVEL_STRUCTURES, TOTALSEGMENTATOR_V2, expand
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, TARGET, WIDE
from fmtutor.data.sample_table import SAMPLES
from fmtutor.data.task_sources import all_regions, novel_source, training_sources

NOVEL = {part for name in NOVEL_STRUCTURES for part in (name, *expand(name, lesions=True))}


def test_training_has_every_centre_the_wide_one_and_a_brain_that_is_free_to_use():
    names = [source.name for source in training_sources(patients=2, wide_patients=3)]
    assert names == [*CENTRES, WIDE.name, "brain_tissue"]
    assert "non-commercial" not in SAMPLES["brain_tissue"].licence


def test_no_training_source_may_offer_novel_structures_or_a_test_only_volume():
    for source in training_sources(patients=1, wide_patients=1):
        assert not source.novel_allowed
        assert source.name != TARGET.name
        assert SAMPLES.get(source.name) is None or SAMPLES[source.name].role == "grows"


def test_the_test_source_offers_exactly_the_novel_structures():
    source = novel_source(1)
    assert [region.name for region in source.regions(None)] == list(NOVEL_STRUCTURES)


def test_all_regions_leave_novel_structures_out():
    labels = np.zeros((2, 2, 2), np.uint8)
    case = Case(name="all", image=labels.astype(np.float32), affine=np.eye(4), labels=labels,
                table=TOTALSEGMENTATOR_V2)  # fmt: skip
    regions = all_regions(case)
    assert not NOVEL & {s for region in regions for s in region.structures}
    names = [region.name for region in regions]
    assert len(set(names)) == len(names) > 30
    assert {"liver", "vertebrae", "ribs", "femur_left"} <= set(names)
    assert not {"rib_left_5", "vertebrae_L1"} & set(names)
