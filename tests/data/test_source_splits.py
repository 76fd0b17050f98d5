"""Splits keep the makers' parts, patients and the published few-shot lists."""

from pathlib import Path

import pytest

from fmtutor.core.files import write_json
from fmtutor.data.few_shot_splits import published_structures
from fmtutor.data.scans import Scan
from fmtutor.data.source_splits import few_shot_lists, splits_of, teaching_scans


def scan(name: str, part: str = "train", patient: str = "") -> Scan:
    return Scan(name=name, image=Path(name), read=lambda: None, part=part, patient=patient)  # type: ignore[arg-type,return-value]


def test_parts_and_patients_are_listed():
    found = splits_of("acdc", [scan("b", patient="p"), scan("a", patient="p"), scan("c", "test")])
    assert found["parts"] == {"train": ["a", "b"], "test": ["c"]}
    assert found["patients"] == {"p": ["a", "b"]}
    assert found["splits_final"] == [{"train": ["a", "b"], "val": ["c"]}]
    assert "few_shot" not in found


def test_test_scans_stay_out_of_training_where_there_are_others_to_validate_on():
    found = splits_of("word", [scan("a"), scan("b", "val"), scan("c", "test")])
    assert found["splits_final"] == [{"train": ["a"], "val": ["b"]}]
    assert "splits_final" not in splits_of("word", [scan("a")])


@pytest.mark.parametrize("dataset", ["totalsegmentator", "flare22"])
def test_every_published_structure_has_its_draws(dataset):
    lists = few_shot_lists(dataset, ())
    assert tuple(lists["structures"]) == published_structures(dataset)
    for found in lists["structures"].values():
        for shots, by_seed in found["draws"].items():
            for draw in by_seed.values():
                assert len(draw["support"]) == int(shots)
                assert set(draw["support"]) <= set(found["pool"])
        ten, five = (found["draws"][shots]["1"]["support"] for shots in ("10", "5"))
        assert ten[:5] == five
    assert "s0004" in lists["missing"] or "FLARETs_0001" in lists["missing"]


def test_a_base_learns_from_training_scans_that_no_few_shot_list_names(tmp_path):
    scans = [scan("s0001"), scan("s0002", "test"), scan("s0029"), scan("s0241")]
    names = [found.name for found in scans]
    assert teaching_scans(tmp_path, names) == tuple(names), "without splits all may teach"
    write_json(tmp_path / "splits.json", splits_of("totalsegmentator_v1", scans))
    assert teaching_scans(tmp_path, names) == ("s0001",)
    with pytest.raises(ValueError, match="none among its 3; convert the whole dataset"):
        teaching_scans(tmp_path, names[1:])
