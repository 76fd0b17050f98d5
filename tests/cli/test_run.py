"""`fmtutor run` on the terminal: what is chosen, what is said, which status it ends with."""

import nbformat
import pytest

from fmtutor.bench.sweep_runners import Local, Remote, Slurm
from fmtutor.cli import main
from fmtutor.cli.run import Run

v4 = nbformat.v4


def _write(path, *sources):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources]), path)


def test_a_batch_with_a_failure_ends_with_status_1_and_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "notebooks" / "01_bad.ipynb", "1 / 0")
    _write(tmp_path / "notebooks" / "notes.ipynb", "not run: no number")
    assert main(["run", "--out", "left", "--timeout", "60"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[ 1/1] 01_bad ..."
    assert lines[1].split()[:2] == ["failed", "01_bad"]
    assert lines[2].strip() == "ZeroDivisionError: division by zero"
    assert lines[-1] == "report: left/index.html"
    assert "ZeroDivisionError" in (tmp_path / "left" / "index.html").read_text()


def test_folders_give_their_numbered_notebooks_in_order(tmp_path):
    for name in ("02_b", "00_a", "draft"):
        _write(tmp_path / f"{name}.ipynb")
    assert [path.stem for path in Run(notebooks=(tmp_path,)).files()] == ["00_a", "02_b"]
    draft = tmp_path / "draft.ipynb"
    assert Run(notebooks=(draft,)).files() == [draft]


def test_nothing_to_run_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"found none in .*; name files"):
        Run(notebooks=(tmp_path,)).files()
    with pytest.raises(ValueError, match=r"must be an \.ipynb file or a folder"):
        Run(notebooks=(tmp_path / "none.ipynb",)).files()


def test_the_limit_of_a_cell_follows_the_profile_unless_given():
    assert Run().limit() == 600
    assert Run(profile="paper").limit() is None
    assert Run(timeout=0.0).limit() is None
    with pytest.raises(ValueError, match="0 \\(no limit\\) or more"):
        Run(timeout=-1.0).limit()


def test_in_place_takes_no_parameters(tmp_path, capsys):
    _write(tmp_path / "01_a.ipynb")
    assert main(["run", str(tmp_path), "--in-place", "-p", "n=1"]) == 2
    assert "leave out --profile and -p" in capsys.readouterr().err
    assert main(["run", str(tmp_path), "--in-place", "--workers", "2"]) == 2
    assert "leave out --workers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": -1}, "--workers must be 0"),
        ({"scheduler": "host:8786"}, "tcp://host:8786, got 'host:8786'"),
        ({"scheduler": "tcp://host:1", "workers": 2}, "a running scheduler has its own workers"),
    ],
)
def test_options_that_name_no_place_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        Run(**options).runner()


def test_the_options_choose_where_notebooks_run():
    assert Run().runner() is None
    assert Run(scheduler="serial").runner() is None
    assert Run(workers=3).runner() == Local(workers=3)
    assert Run(scheduler="slurm", profile="gpu").runner() == Slurm(workers=1, gpus_per_job=1)
    assert Run(scheduler="tcp://host:1").runner() == Remote(address="tcp://host:1")
