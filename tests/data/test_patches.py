"""Patch streams over small phantom cases (blocks with ids 1, 2, 3 in an anisotropic volume)."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from fmtutor.data.cases import Case
from fmtutor.data.patches import PatchConfig, PatchStream
from fmtutor.data.regions import Protocol, Region, Vocabulary

TABLE = {1: "liver", 2: "liver_lesion", 3: "spleen"}
INCLUSIVE = Protocol("inclusive", (Region.of("liver", "liver", "liver_lesion"),))
SEPARATE = Protocol(
    "separate", (Region.of("liver"), Region.of("liver_lesion"), Region.of("spleen"))
)
PLAIN = PatchConfig(size=(8, 8, 8), jitter=0.0, contrast=0.0, brightness=0.0, gamma=0.0)


@dataclass(frozen=True)
class Phantoms:
    protocol: Protocol
    cases: tuple[Case, ...]

    def __len__(self):
        return len(self.cases)

    def __getitem__(self, index):
        return self.cases[index]


def phantom(name="a", shape=(40, 30, 24)):
    labels = np.zeros(shape, np.uint8)
    labels[4:20, 4:20, 2:20] = 1
    labels[8:10, 8:10, 10:12] = 2
    labels[30:34, 20:24, 8:12] = 3
    image = np.where(labels > 0, 40.0 * labels, -1000.0).astype(np.float32)
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    return Case(name=name, image=image, affine=affine, labels=labels, table=TABLE)


def stream(*protocols, config=PLAIN, cases=None, **options):
    cases = cases or (phantom(),)
    sources = [Phantoms(protocol, cases) for protocol in protocols]
    return PatchStream(sources, Vocabulary.shared(protocols), config, **options)


def same(one, two):
    parts = ("image", "target", "known", "task")
    return all(torch.equal(getattr(one, part), getattr(two, part)) for part in parts)


def test_a_batch_is_a_pure_function_of_its_step_so_that_training_resumes():
    config = PatchConfig(size=(8, 8, 8), batch=2)
    one, fresh = (stream(INCLUSIVE, SEPARATE, config=config) for _ in range(2))
    seen = [one(step) for step in range(6)]
    assert same(fresh(5), seen[5])
    assert same(one(2), seen[2])
    assert not same(seen[0], seen[1])
    assert not same(stream(INCLUSIVE, SEPARATE, config=config, seed=1)(0), seen[0])


def test_a_batch_has_the_size_asked_for_and_intensities_in_0_to_1():
    batch = stream(SEPARATE, config=PatchConfig(size=(16, 8, 12), batch=3))(0)
    assert batch.image.shape == (3, 1, 16, 8, 12)
    assert batch.target.shape == (3, 3, 16, 8, 12)
    assert batch.image.dtype == torch.float32
    assert 0 <= batch.image.min() <= batch.image.max() <= 1


def test_image_and_target_are_cut_at_the_same_place():
    batch = stream(SEPARATE, config=replace(PLAIN, batch=8))(0)
    hu = torch.round(batch.image[:, 0] * 425 - 175)
    for row, expected in enumerate((40, 80, 120)):
        assert torch.equal(batch.target[:, row], hu == expected)


def centred(patches, count=300):
    """Count what lies in the middle of patches (jitter is off)."""
    found = Counter()
    for number in range(count):
        _, target, _, _ = patches.sample(0, number)
        rows = np.flatnonzero(target[:, 4, 4, 4] | target[:, 3, 3, 3])
        found[int(rows[-1]) if len(rows) else None] += 1
    return found


def test_every_structure_is_equally_likely_in_the_middle_whatever_its_size():
    found = centred(stream(SEPARATE, config=replace(PLAIN, foreground=1.0)))
    assert found[None] < 30
    for row in range(3):  # the lesion has 8 voxels, the liver 4600
        assert 0.2 < found[row] / 300 < 0.47


def test_the_foreground_share_is_kept():
    volume_share = float((phantom().labels == 3).mean())
    vocabulary = Protocol("spleen_only", (Region.of("spleen"),))
    for share in (0.0, 0.5):
        found = centred(stream(vocabulary, config=replace(PLAIN, foreground=share)))
        hits = 1 - found[None] / 300
        assert share - 0.1 < hits < share + 0.1 + 4 * volume_share


def test_sources_are_equally_likely_however_many_cases_they_have():
    many = Phantoms(INCLUSIVE, tuple(phantom(str(n)) for n in range(9)))
    few = Phantoms(SEPARATE, (phantom(),))
    vocabulary = Vocabulary.shared([INCLUSIVE, SEPARATE])
    patches = PatchStream([many, few], vocabulary, PLAIN)
    tasks = [patches.sample(step, 0)[3] for step in range(200)]
    assert 75 < sum(tasks) < 125


def test_a_thin_slab_is_padded_with_air_that_has_no_label():
    thin = replace(
        phantom(),
        image=np.full((40, 30, 3), 100.0, np.float32),
        labels=np.ones((40, 30, 3), np.uint8),
    )
    batch = stream(SEPARATE, cases=(thin,))(0)
    inside = batch.image[:, 0] > 0
    assert inside.any(1).any(1).sum(1).tolist() == [3, 3]
    assert torch.equal(batch.target[:, 0], inside)


def test_what_a_protocol_does_not_annotate_is_unknown_and_its_target_empty():
    batch = stream(INCLUSIVE, SEPARATE, config=replace(PLAIN, batch=24, foreground=1.0))(0)
    known = {0: [True, False, False], 1: [True, True, True]}
    for task, row, target in zip(batch.task.tolist(), batch.known, batch.target, strict=True):
        assert row.tolist() == known[task]
        assert not target[~row].any()
    assert set(batch.task.tolist()) == {0, 1}


def test_the_lesion_is_liver_to_one_protocol_and_not_to_the_next():
    for protocol, overlap in ((INCLUSIVE, True), (SEPARATE, False)):
        patches = stream(protocol, config=replace(PLAIN, foreground=1.0, batch=16))
        hu = torch.round(patches(0).image[:, 0] * 425 - 175)
        lesion = hu == 80
        assert lesion.any()
        assert bool(patches(0).target[:, 0][lesion].all()) is overlap
        assert bool(patches(0).target[:, 0][lesion].any()) is overlap


def test_the_naive_reading_calls_every_channel_known_and_changes_nothing_else():
    config = replace(PLAIN, batch=8)
    honest, naive = (
        stream(INCLUSIVE, SEPARATE, config=config, background_is_known=flag)(0)
        for flag in (False, True)
    )
    assert naive.known.all()
    assert not honest.known.all()
    assert torch.equal(honest.target, naive.target)
    assert torch.equal(honest.image, naive.image)


def test_augmentation_changes_intensities_and_never_the_place():
    plain = stream(SEPARATE, config=PLAIN)(0)
    varied = stream(SEPARATE, config=PatchConfig(size=(8, 8, 8), jitter=0.0))(0)
    assert torch.equal(plain.target, varied.target)
    assert not torch.equal(plain.image, varied.image)
    assert (varied.image[plain.image == 0] == 0).all()


def test_sources_of_other_protocols_than_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match="sources and vocabulary differ"):
        PatchStream([Phantoms(INCLUSIVE, (phantom(),))], Vocabulary.shared([SEPARATE]), PLAIN)


def test_a_source_without_cases_is_refused_by_name():
    with pytest.raises(ValueError, match=r"needs a case, got none from \['inclusive'\]"):
        PatchStream([Phantoms(INCLUSIVE, ())], Vocabulary.shared([INCLUSIVE]), PLAIN)


def test_weights_say_how_often_a_source_is_drawn() -> None:
    weighted = stream(INCLUSIVE, SEPARATE, weights=[0.0, 1.0])
    assert {int(weighted(step).task[0]) for step in range(8)} == {1}
    with pytest.raises(ValueError, match="one weight each"):
        stream(INCLUSIVE, SEPARATE, weights=[1.0])
