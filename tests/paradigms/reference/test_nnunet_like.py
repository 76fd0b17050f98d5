from fmtutor.data.regions import Protocol, Region
from fmtutor.paradigms.reference.nnunet_like import Config, vocabulary


def test_overlapping_regions_get_sigmoids() -> None:
    nested = Protocol("a", (Region.of("liver", "liver", "lesion"), Region.of("lesion")))
    apart = Protocol("a", (Region.of("liver"), Region.of("lesion")))
    assert Config().with_vocabulary(vocabulary([nested])).overlapping
    assert not Config().with_vocabulary(vocabulary([apart])).overlapping
