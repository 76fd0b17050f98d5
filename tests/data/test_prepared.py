"""A dataset on disk as training takes it."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmtutor.core.files import write_json
from fmtutor.core.geometry import Grid
from fmtutor.data.nifti import write_nifti
from fmtutor.data.nnunet_raw import read_dataset
from fmtutor.data.patches import Source
from fmtutor.data.prepared import PreparedSource, taught
from fmtutor.data.regions import Protocol, Region


@pytest.fixture
def source(tmp_path: Path) -> PreparedSource:
    folder, grid = tmp_path / "Dataset001_X", Grid((10, 8, 6), np.diag([3.0, 3.0, 3.0, 1.0]))
    for number, name in enumerate(("a", "b")):
        image = np.full(grid.shape, 10.4 + number, np.float32)
        labels = np.zeros(grid.shape, np.uint8)
        labels[2:6, 2:6, 2:4] = 1
        write_nifti(image, grid, folder / "imagesTr" / f"{name}_0000.nii.gz")
        write_nifti(labels, grid, folder / "labelsTr" / f"{name}.nii.gz")
    write_json(folder / "dataset.json", {
        "channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2},
        "numTraining": 2, "file_ending": ".nii.gz",
    })  # fmt: skip
    dataset = read_dataset(folder)
    return PreparedSource(
        dataset=dataset, names=("b",), protocol=taught(dataset.protocol, ("liver",)),
        spacing_mm=(1.5, 3.0, 3.0), folder=tmp_path / "prepared",
    )  # fmt: skip


def test_a_case_is_resampled_and_the_same_when_it_is_read_again(source):
    assert isinstance(source, Source)
    first, again = source[0], source[0]
    assert len(source) == 1
    assert first.name == "b"
    assert first.image.shape == (20, 8, 6)
    assert first.spacing_mm == (1.5, 3.0, 3.0)
    assert np.array_equal(first.image, again.image)
    assert (first.image == 11).all(), "whole HU"
    assert first.mask("liver").sum() == 2 * 4 * 4 * 2
    assert first.known == {"liver", "spleen"}
    assert first.provenance == "Dataset001_X/b"


def test_a_case_is_prepared_once_and_anew_when_its_files_change(source):
    source[0]
    made = source.path("b").stat().st_mtime_ns
    source[0]
    assert source.path("b").stat().st_mtime_ns == made
    labels = source.dataset.folder / "labelsTr" / "b.nii.gz"
    os.utime(labels, ns=(1, 1))
    source[0]
    assert source.path("b").stat().st_mtime_ns != made


def test_another_spacing_is_another_file(source):
    other = replace(source, spacing_mm=(3.0, 3.0, 3.0))
    assert other.path("b") != source.path("b")
    assert other[0].image.shape == (10, 8, 6)


def test_a_protocol_keeps_the_regions_of_some_names():
    protocol = Protocol("p", (Region.of("liver"), Region.of("spleen")))
    assert taught(protocol, ()) == protocol
    assert taught(protocol, ("spleen", "aorta")).regions == (Region.of("spleen"),)
    with pytest.raises(ValueError, match="at least one of aorta, p annotates liver, spleen"):
        taught(protocol, ("aorta",))
