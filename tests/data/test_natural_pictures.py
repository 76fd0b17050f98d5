import os
import subprocess
import sys

import numpy as np
import pytest

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data import natural_pictures
from fmtutor.data.natural_pictures import PICTURES, NaturalSource, natural_picture
from fmtutor.data.slice_objects import SliceObjectConfig, SliceObjectStream

MEDICAL = {
    "brain", "cell", "cells3d", "human_mitosis", "ihc", "immunohistochemistry", "kidney", "lily",
    "microaneurysms", "mitosis", "nickel_solidification", "palisades_of_vogt", "phantom",
    "protein_transport", "retina", "shepp_logan_phantom", "skin",
}  # fmt: skip


@pytest.fixture(scope="module")
def source():
    return NaturalSource(64)


def test_no_medical_picture_is_in_the_list():
    assert len(PICTURES) == 13
    assert not MEDICAL & set(PICTURES)
    assert not any(word in row.file for row in PICTURES.values() for word in MEDICAL)


@pytest.mark.parametrize("name", list(PICTURES))
def test_every_picture_is_grey_between_0_and_1(name):
    picture = natural_picture(name)
    assert picture.ndim == 2
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert 0.4 < picture.max() <= 1


def test_nothing_is_downloaded_and_an_empty_cache_stays_empty(tmp_path):
    """A process of its own: with an empty cache folder and no way out, all pictures are there."""
    program = (
        "import socket\n"
        "def no_network(*_, **__): raise OSError('a picture asked for the network')\n"
        "socket.socket.connect = no_network\n"
        "from fmtutor.data.natural_pictures import NaturalSource\n"
        "print(len(NaturalSource(32).pictures))\n"
    )
    cache = tmp_path / "cache"
    cache.mkdir()
    places = dict.fromkeys(("XDG_CACHE_HOME", "SKIMAGE_DATADIR", "FMTUTOR_CACHE"), str(cache))
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **places, "HOME": str(cache)},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "13"
    assert list(cache.iterdir()) == []


def test_another_file_of_the_same_name_is_refused(monkeypatch):
    monkeypatch.setattr(natural_pictures, "sha256_of", lambda path: "0" * 64)
    with pytest.raises(ValueError, match=r"must be the file camera\.png"):
        natural_picture("camera")


def test_an_unknown_picture_is_refused():
    with pytest.raises(ValueError, match="retina"):
        natural_picture("retina")


def test_scenes_are_squares_without_annotation(source):
    one, other = source.scene(rng_of(1)), source.scene(rng_of(2))
    assert one.image.shape == one.labels.shape == (64, 64, 1)
    assert not one.regions
    assert not one.labels.any()
    assert not np.array_equal(one.image, other.image)
    assert np.array_equal(one.image, source.scene(rng_of(1)).image)


def test_the_stream_asks_for_segments_and_shapes(source):
    stream = SliceObjectStream(source, SliceObjectConfig(segments=0.5, shapes=0.5))
    batches = [stream(i) for i in range(6)]
    names = [name for batch in batches for row in batch.names for name in row]
    assert set(names) == {"segment", "shape"}
    assert 0.25 < names.count("shape") / len(names) < 0.75
    assert sum(float(batch.known.float().mean()) for batch in batches) / 6 > 0.7
