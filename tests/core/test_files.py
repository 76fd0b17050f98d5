import pytest

from fmtutor.core.files import atomic_path, read_json, sha256_of, write_json


def test_a_file_appears_whole_and_nothing_else_stays(tmp_path):
    with atomic_path(tmp_path / "new" / "image.nii.gz") as part:
        assert part.name.endswith(".part.nii.gz")
        part.write_text("whole")
        assert not (tmp_path / "new" / "image.nii.gz").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.nii.gz"]


def _fail_while_writing(path):
    with atomic_path(path) as part:
        part.write_text("half")
        raise OSError("disk full")


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        _fail_while_writing(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_comes_back_and_is_sorted(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, None], "a": "x"})
    assert read_json(tmp_path / "a.json") == {"a": "x", "b": [1, None]}
    assert (tmp_path / "a.json").read_text().index('"a"') == 3


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1


def test_the_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty").startswith("e3b0c44298fc1c149afbf4c8996fb924")
