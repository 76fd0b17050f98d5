import json
from dataclasses import dataclass, field, replace

import pytest

from fmtutor.core.configs import fingerprint, from_dict, to_dict


@dataclass(frozen=True, kw_only=True)
class Net:
    channels: tuple[int, ...] = (8, 16)
    ranges: tuple[tuple[str, float], ...] = (("a", 0.5),)


@dataclass(frozen=True, kw_only=True)
class Training:
    steps: int
    net: Net = field(default_factory=Net)
    names: frozenset[str] = frozenset({"liver", "aorta", "colon"})


@dataclass(frozen=True, kw_only=True)
class OtherTraining:
    steps: int
    net: Net = field(default_factory=Net)
    names: frozenset[str] = frozenset({"liver", "aorta", "colon"})


def test_a_nested_configuration_survives_the_way_through_json():
    config = Net(channels=(4,), ranges=(("b", 1.0), ("c", 2.0)))
    assert from_dict(Net, json.loads(json.dumps(to_dict(config)))) == config
    nested = from_dict(Training, {"steps": 3, "net": to_dict(config)})
    assert nested == Training(steps=3, net=config)


def test_sets_are_written_sorted_so_that_files_do_not_differ_between_processes():
    assert to_dict(Training(steps=1))["names"] == ["aorta", "colon", "liver"]


def test_an_unknown_field_and_a_missing_one_are_named():
    with pytest.raises(TypeError, match=r"Training has no field stpes; it has \['names'"):
        from_dict(Training, {"stpes": 3})
    with pytest.raises(TypeError, match="steps"):
        from_dict(Training, {})


def test_a_fingerprint_changes_with_any_value_however_deep_and_with_the_kind():
    config = Training(steps=1)
    others = [
        replace(config, steps=2),
        replace(config, net=Net(channels=(8, 17))),
        replace(config, names=frozenset({"liver"})),
        OtherTraining(steps=1),
    ]
    prints = {fingerprint(config), *map(fingerprint, others)}
    assert len(prints) == 5
    assert all(len(text) == 12 and int(text, 16) >= 0 for text in prints)
    assert fingerprint(Training(steps=1)) == fingerprint(config)
