import numpy as np
import pytest

from fmtutor.data.regions import Channel, Protocol, Region, Vocabulary

LIVER = Region.of("liver", "liver", "liver_lesion")
ONE = Protocol("one", (LIVER, Region.of("liver_lesion")))
TWO = Protocol("two", (Region.of("spleen"), Region.of("liver")))
TABLE = {1: "liver", 2: "liver_lesion", 3: "spleen", 200: "colon"}


def test_a_region_without_structures_is_the_structure_of_its_name():
    assert Region.of("spleen").structures == {"spleen"}


def test_a_protocol_that_names_a_region_twice_is_refused():
    with pytest.raises(ValueError, match="'bad' names a region twice"):
        Protocol("bad", (LIVER, Region.of("liver")))


def test_a_shared_vocabulary_has_one_channel_per_name_in_order_of_appearance():
    vocabulary = Vocabulary.shared([ONE, TWO])
    assert vocabulary.names == ("liver", "liver_lesion", "spleen")
    assert vocabulary.known(0).tolist() == [True, True, False]
    assert vocabulary.known(1).tolist() == [True, False, True]


def test_a_vocabulary_per_protocol_shares_nothing():
    vocabulary = Vocabulary.per_protocol([ONE, TWO])
    assert vocabulary.names == ("one/liver", "one/liver_lesion", "two/spleen", "two/liver")
    assert vocabulary.known(0).tolist() == [True, True, False, False]
    assert vocabulary.known(1).tolist() == [False, False, True, True]
    assert vocabulary.region(Channel("liver", "one"), 1) is None


def test_a_shared_channel_means_what_each_protocol_says_and_classes_may_overlap():
    vocabulary = Vocabulary.shared([ONE, TWO])
    labels = np.array([0, 1, 2, 3, 200])
    inclusive, bare = (vocabulary.lut(task, TABLE)[:, labels] for task in (0, 1))
    assert inclusive.tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert bare.tolist() == [[0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0]]


def test_what_nobody_annotates_is_in_no_channel_and_neither_is_no_label():
    lut = Vocabulary.shared([ONE, TWO]).lut(0, TABLE)
    assert not lut[:, 200].any()
    assert not lut[:, 0].any()
    assert lut.shape == (3, 256)
