"""Batches of real (tiny) notebooks: results, failures, resume, the report, in-place cleaning."""

import json
import sys

import nbformat
import pytest

from fmtutor.bench.notebook_content import declared_parameters, fingerprint
from fmtutor.bench.notebook_refresh import refresh_notebooks
from fmtutor.bench.notebook_runs import BatchConfig, named, run_notebooks
from fmtutor.bench.report import write_report

FIGURE = """import matplotlib.pyplot as plt, numpy as np
plt.imshow(np.random.default_rng(0).random((40, 40)), cmap="gray"); plt.show()"""
BROKEN = "def inner():\n    return {}['kidney']\ninner()"


def _run(paths, out, **config):
    return list(run_notebooks(paths, BatchConfig(**config), out=out))


def test_a_failed_notebook_is_reported_and_the_rest_run(notebook, tmp_path):
    out, seen = tmp_path / "out", []
    paths = [
        notebook("01_broken", "print('before')", BROKEN, "print('never')"),
        notebook("02_figure", FIGURE),
    ]
    config = BatchConfig(profile="gpu", parameters={"seed": (7,)})
    records = list(run_notebooks(paths, config, out=out, watch=seen.append))

    assert [record.state for record in records] == ["failed", "done"]
    assert records[0].error == "KeyError: 'kidney'"
    assert records[0].parameters == {"profile": "gpu", "seed": 7}
    assert [(p.index, p.total) for p in seen if p.cell == 0] == [(0, 2), (1, 2)]
    broken = nbformat.read(out / "01_broken-profile=gpu-seed=7.ipynb", 4)
    assert [cell.source for cell in broken.cells][1:] == [
        "profile = 'quick'\nseed = 1", "print('before')", BROKEN, "print('never')"
    ]  # fmt: skip
    assert broken.cells[2].outputs[0].text == "before\n"
    assert broken.cells[4].outputs == []
    results = json.loads((out / "results.json").read_text())
    assert [row["state"] for row in results] == ["failed", "done"]
    assert all(
        row["peak_mb"] > 30 and 0 < sum(row["cell_seconds"]) < row["seconds"] for row in results
    )

    page = write_report(records, out).read_text()
    assert page.count("<img ") == 1
    figure = "figures/02_figure-profile=gpu-seed=7/01.png"
    assert f'alt="About 02_figure" src="{figure}"' in page
    assert (out / figure).read_bytes().startswith(b"\x89PNG")
    assert "KeyError" in page
    assert "inner()" in page
    assert not {"http://", "https://", "<script", "<link"} & set(page.split())
    assert str(tmp_path) not in page


def test_only_what_changed_or_failed_runs_again(notebook, tmp_path):
    out = tmp_path / "out"
    counter = tmp_path / "counter"
    count = f"open({str(counter)!r}, 'a').write('x'); None"
    path = notebook("01_same", count)
    assert [r.state for r in _run([path], out)] == ["done"]
    assert [r.state for r in _run([path], out)] == ["skipped"]
    assert len(counter.read_text()) == 1
    assert [r.state for r in _run([path], out, parameters={"seed": (2,)})] == ["done"]
    assert [r.state for r in _run([path], out, parameters={"seed": (2,)}, force=True)] == ["done"]
    assert len(counter.read_text()) == 3


def test_a_cell_over_time_and_a_dead_kernel_are_failures(notebook, tmp_path):
    paths = [
        notebook("01_slow", "import time; time.sleep(60)"),
        notebook("02_dead", "import os; os._exit(9)"),
    ]
    slow, dead = _run(paths, tmp_path / "out", timeout_s=2.0)
    assert slow.state == dead.state == "failed"
    assert "timed out" in slow.error
    assert "DeadKernelError" in dead.error


def test_the_kernel_is_this_interpreter_without_the_users_settings(notebook, tmp_path):
    check = "import fmtutor, os, sys; assert sys.prefix == {!r}; "
    check += "assert os.environ['FMTUTOR_INTERACTIVE'] == '0'"
    (record,) = _run(
        [notebook("01_own", check.format(sys.prefix), parameters="")], tmp_path / "out"
    )
    assert (record.state, record.error, record.parameters) == ("done", "", {})


def test_committed_notebooks_are_written_back_clean_or_not_at_all(notebook):
    path = notebook("01_good", FIGURE, "import ipywidgets; ipywidgets.IntSlider()", "21 * 2")
    bad = notebook("02_bad", "import sys; print(sys.prefix)")
    broken = notebook("03_broken", BROKEN)
    before = [bad.read_bytes(), broken.read_bytes()]
    good, shown, failed = refresh_notebooks([path, bad, broken])

    assert (good.state, good.error) == ("done", "")
    written = nbformat.read(path, 4)
    assert "widgets" not in written.metadata
    assert all("papermill" not in cell.metadata for cell in [written, *written.cells])
    assert [cell.get("execution_count") for cell in written.cells] == [None, 1, 2, 3, 4]
    assert [list(output.data) for output in written.cells[3].outputs] == [["text/plain"]]
    assert written.cells[4].outputs[0].data["text/plain"] == "42"
    assert shown.error.startswith("a committed notebook shows no machine path, got cell 2")
    assert failed.error == "KeyError: 'kidney'"
    assert [bad.read_bytes(), broken.read_bytes()] == before


def test_a_parameter_that_a_notebook_does_not_declare_is_an_error(notebook, tmp_path):
    paths = [notebook("01_a"), notebook("02_b", parameters="sed = 1"), notebook("03_c")]
    message = r"01_a has no sed, it has: profile, seed; 03_c has no sed, it has: profile, seed\. "
    with pytest.raises(ValueError, match=message):
        _run(paths, tmp_path / "out", parameters={"sed": (1,)})
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_notebook_is_an_error(tmp_path):
    path = tmp_path / "01_text.ipynb"
    path.write_text("not a notebook")
    with pytest.raises(ValueError, match="must be a notebook"):
        _run([path], tmp_path / "out")


def test_parameters_are_the_names_that_the_tagged_cell_assigns(notebook):
    path = notebook(
        "01_a", "other = 3", parameters="profile: str = 'quick'\nsteps, seed = 4, len('a')"
    )
    assert declared_parameters(nbformat.read(path, 4)) == {"profile", "steps", "seed"}


def test_the_fingerprint_ignores_outputs_and_sees_sources_parameters_and_results(
    notebook, tmp_path
):
    source = nbformat.read(notebook("01_a", "1 + 1"), 4)
    first = fingerprint(source, {"seed": 1}, folder=tmp_path / "notebooks")
    source.cells[2].outputs = [nbformat.v4.new_output("stream", text="x")]
    assert fingerprint(source, {"seed": 1}, folder=tmp_path / "notebooks") == first
    assert fingerprint(source, {"seed": 2}, folder=tmp_path / "notebooks") != first
    results = tmp_path / "benchmarks" / "question" / "results"
    results.mkdir(parents=True)
    (results / "a.json").write_text("{}")
    assert fingerprint(source, {"seed": 1}, folder=tmp_path / "notebooks") != first


def test_equal_names_in_two_folders_are_told_apart(tmp_path):
    paths = [tmp_path / "a" / "01.ipynb", tmp_path / "b" / "01.ipynb", tmp_path / "b" / "02.ipynb"]
    assert list(named(paths)) == ["a-01", "b-01", "02"]
    with pytest.raises(ValueError, match="each notebook once"):
        named(paths[:1] * 2)


def test_a_grid_runs_every_combination_and_runs_lie_side_by_side(notebook, tmp_path):
    out = tmp_path / "out"
    path = notebook("01_a", "print(seed, profile)")
    records = _run([path], out, parameters={"seed": (0, 1), "profile": ("quick", "b c")})
    names = ["01_a-seed=0", "01_a-profile=b_c_39c20e-seed=0", "01_a-seed=1"]
    assert [record.name for record in records][:3] == names
    texts = [nbformat.read(out / f"{r.name}.ipynb", 4).cells[-1].outputs[0].text for r in records]
    assert texts == ["0 quick\n", "0 b c\n", "1 quick\n", "1 b c\n"]
    assert [r.state for r in _run([path], out, parameters={"seed": (1, 2)})] == ["skipped", "done"]
    page = write_report(records, out).read_text()
    assert "<small>profile = &#x27;b c&#x27;, seed = 0</small>" in page


def test_an_executed_notebook_that_was_deleted_runs_again(notebook, tmp_path):
    path = notebook("01_a", "1")
    _run([path], tmp_path / "out")
    (tmp_path / "out" / "01_a.ipynb").unlink()
    assert [record.state for record in _run([path], tmp_path / "out")] == ["done"]


def test_a_notebook_edited_during_its_batch_is_a_failure_that_says_so(notebook, tmp_path):
    second = notebook("02_b", "1")
    edit = f"import pathlib; p = pathlib.Path({str(second)!r}); "
    edit += "p.write_text(p.read_text().replace('About', 'On'))"
    records = _run([notebook("01_a", edit), second], tmp_path / "out")
    assert [record.state for record in records] == ["done", "failed"]
    assert "stays as it is while its batch runs, 02_b.ipynb was edited" in records[1].error
    assert "was edited" in write_report(records, tmp_path / "out").read_text()
    assert [r.state for r in _run([second], tmp_path / "out")] == ["done"]


def test_two_batches_cannot_use_one_folder_at_the_same_time(notebook, tmp_path):
    paths = [notebook("01_a", "1"), notebook("02_b", "2")]
    first = run_notebooks(paths, BatchConfig(), out=tmp_path / "out")
    next(first)
    with pytest.raises(ValueError, match="one batch at a time runs in a folder"):
        _run(paths, tmp_path / "out")
    first.close()
    assert [record.state for record in _run(paths, tmp_path / "out")] == ["skipped", "done"]


def test_a_stopped_batch_keeps_its_failures_and_an_ended_one_tries_them_again(notebook, tmp_path):
    out, counter = tmp_path / "out", tmp_path / "counter"
    bad = notebook("01_bad", f"open({str(counter)!r}, 'a').write('x'); 1 / 0")
    paths = [bad, notebook("02_good", "1")]
    first = run_notebooks(paths, BatchConfig(), out=out)
    assert next(first).state == "failed"
    first.close()
    resumed = _run(paths, out)
    assert [(r.state, r.kept) for r in resumed] == [("failed", True), ("done", False)]
    assert resumed[0].error == "ZeroDivisionError: division by zero"
    assert counter.read_text() == "x"
    again = {r.name: (r.state, r.kept) for r in _run(paths, out)}
    assert again == {"01_bad": ("failed", False), "02_good": ("skipped", True)}
    assert counter.read_text() == "xx"


def test_a_forced_batch_that_was_stopped_goes_on_too(notebook, tmp_path):
    out, counter = tmp_path / "out", tmp_path / "counter"
    count = f"open({str(counter)!r}, 'a').write('x'); None"
    paths = [notebook("01_a", count), notebook("02_b", count)]
    _run(paths, out)
    first = run_notebooks(paths, BatchConfig(force=True), out=out)
    assert next(first).state == "done"
    first.close()
    assert [r.state for r in _run(paths, out, force=True)] == ["skipped", "done"]
    assert counter.read_text() == "xxxx"
