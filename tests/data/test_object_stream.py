from dataclasses import dataclass

import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data import object_stream
from fmtutor.data.cases import Case
from fmtutor.data.object_stream import ObjectConfig, ObjectStream, touch
from fmtutor.data.regions import Protocol, Region

TABLE = {1: "liver", 2: "spleen", 3: "sacrum"}
BOTH = Protocol("both", (Region.of("liver"), Region.of("spleen")))


@dataclass(frozen=True)
class Patients:
    protocol: Protocol = BOTH
    count: int = 2

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        labels = np.zeros((40, 36, 30), np.uint8)
        labels[5:22, 5:25, 4:26] = 1
        labels[22:30, 10:20, 8:20] = 2
        labels[33:38, 10:20, 8:20] = 3
        image = rng_of("patient", index).normal(0, 8, labels.shape) + 50 * labels
        return Case(name=f"p{index}", image=image.astype(np.float32), labels=labels,
                    affine=np.diag((3.0, 3.0, 3.0, 1.0)), table=TABLE)  # fmt: skip


def stream(*, seed=0, sources=None, **changes):
    config = ObjectConfig(**{"size": (24, 24, 16), "objects": 2, "slab": 0.0, **changes})
    return ObjectStream(sources or [Patients()], config, seed=seed)


def test_a_batch_is_a_function_of_step_and_seed():
    one, again, other = stream()(3), stream()(3), stream(seed=1)(3)
    assert torch.equal(one.image, again.image)
    assert torch.equal(one.target, again.target)
    assert (one.seed, one.names) == (again.seed, again.names)
    assert not torch.equal(one.image, other.image)
    assert one.seed != other.seed


def test_shapes_and_ranges():
    batch = stream(batch=2, objects=3)(0)
    assert batch.image.shape == (2, 1, 24, 24, 16)
    assert batch.target.shape == (2, 3, 24, 24, 16)
    assert 0 <= batch.image.min() <= batch.image.max() <= 1
    assert bool(batch.known[:, 0].all())


def test_objects_are_what_the_source_annotates_and_large_enough():
    batches = [stream(pseudo=0.0, union=0.0)(i) for i in range(20)]
    pairs = [zip(b.names[0], b.known[0], strict=True) for b in batches]
    seen = {name for row in pairs for name, known in row if known}
    assert {"liver", "spleen"} <= seen <= {"liver", "spleen", "pseudo"}
    for batch in batches:
        for name, mask in zip(batch.names[0], batch.target[0], strict=True):
            assert name == "pseudo" or mask.sum() >= 100
        rows = zip(batch.names[0], batch.known[0], strict=True)
        named = [name for name, known in rows if known and name != "pseudo"]
        assert len(set(named)) == len(named)


def test_an_object_is_not_always_in_the_middle():
    batches = [stream(pseudo=0.0, union=0.0)(i) for i in range(20)]
    middles = torch.stack([b.target[0, 0].nonzero().float().mean(0) for b in batches])
    assert bool((middles.std(0) > 2).all())


def test_neighbours_are_joined_where_that_is_asked_for():
    names = {n for i in range(12) for n in stream(union=1.0, pseudo=0.0)(i).names[0]}
    assert names & {"liver+spleen", "spleen+liver"}


def test_parts_that_nobody_named_are_objects_too():
    names = [n for i in range(6) for n in stream(pseudo=1.0)(i).names[0]]
    assert set(names) <= {"pseudo", "nothing"}
    assert "pseudo" in names


def test_missing_objects_repeat_one_and_are_not_known(monkeypatch):
    monkeypatch.setattr(object_stream, "pseudo_object", lambda image, rng: None)
    one = Protocol("one", (Region.of("liver"),))
    batch = stream(sources=[Patients(protocol=one)], objects=3, pseudo=0.0, union=0.0)(0)
    assert batch.known.tolist() == [[True, False, False]]
    assert torch.equal(batch.target[0, 2], batch.target[0, 0])
    assert batch.names == (("liver",) * 3,)


def test_a_crop_without_any_object_is_drawn_again_and_then_marked(monkeypatch):
    monkeypatch.setattr(object_stream, "pseudo_object", lambda image, rng: None)
    batch = stream(least=10**6)(0)
    assert batch.names == (("nothing",) * 2,)
    assert not batch.known.any()
    assert not batch.target.any()


def test_a_novel_structure_is_refused():
    with pytest.raises(ValueError, match="sacrum"):
        stream(sources=[Patients(protocol=Protocol("new", (Region.of("sacrum"),)))])


def test_sources_need_cases_and_weights():
    with pytest.raises(ValueError, match="sources with cases"):
        stream(sources=[Patients(count=0)])
    with pytest.raises(ValueError, match="one weight each"):
        ObjectStream([Patients()], ObjectConfig(), weights=[1.0, 2.0])


def test_masks_touch_face_to_face():
    one, other = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    one[1, 1], other[2, 1] = True, True
    assert touch(one, other)
    other[2, 1], other[2, 2] = False, True
    assert not touch(one, other)
