"""`fmtutor table` with a stand-in for the work of a cell."""

import sys
from types import SimpleNamespace

import pytest

from fmtutor.bench.few_shot_grid import Cell
from fmtutor.cli import main
from fmtutor.cli.table import Table
from fmtutor.core.files import read_json
from tests.bench.few_shot_cells import result_of

BIAS = ["--rows", "Bias", "--kinds", "unet", "--seeds", "0", "--scheduler", "serial"]


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Run in an empty folder; cells are made up, and their names kept in this list."""
    names: list[str] = []

    def run_cell(cell: Cell, setting, data, weights):
        names.append(cell.name)
        if "bad" in sys.argv and cell.structure == "liver":
            raise RuntimeError("no liver today")
        return result_of(cell, 0.6)

    stand_in = SimpleNamespace(run_cell=run_cell)
    monkeypatch.setitem(sys.modules, "fmtutor.bench.few_shot_cell", stand_in)
    monkeypatch.chdir(tmp_path)
    return names


def test_a_sweep_prints_estimate_progress_and_table_and_is_not_run_twice(ran, tmp_path, capsys):
    assert main(["table", "fseft-known", *BIAS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("8 cells, 8 to do; ")
    assert "assumed, none finished" in lines[0]
    assert lines[2] == "results: runs/tables/fseft-known-quick"
    assert lines[3].startswith("[  1/8] done   unet-bitfit-supervised-faithful-spleen-5shot-seed0")
    assert "left" not in lines[10]
    assert len(ran) == 8
    folder = tmp_path / "runs/tables/fseft-known-quick"
    assert len(list(folder.glob("unet-*.json"))) == 8
    assert "| Bias | 60.0 (71.2) |" in (folder / "table.md").read_text()
    assert main(["table", "fseft-known", *BIAS]) == 0
    assert len(ran) == 8
    assert "8 cells, 0 to do" in capsys.readouterr().out


def test_a_limit_stops_after_so_many_cells_and_marks_the_table(ran, capsys):
    assert main(["table", "fseft-known", *BIAS, "--limit", "3", "--out", "here"]) == 0
    out = capsys.readouterr().out
    assert "--limit: 3 of them in this run" in out
    assert len(ran) == 3
    assert "3 of 4 (" in out
    assert main(["table", "fseft-known", *BIAS, "--limit", "0", "--out", "here"]) == 0
    assert "8 cells, 5 to do; 12 s each (from 3 finished cells): 60 s" in capsys.readouterr().out


def test_a_failed_cell_is_reported_at_the_end_with_status_1(ran, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bad"])
    assert main(["table", "fseft-known", *BIAS, "--out", "here"]) == 1
    out = capsys.readouterr().out
    assert out.count("failed: unet-bitfit-supervised-faithful-liver") == 2
    assert "RuntimeError: no liver today" in out
    assert "tracebacks: here/NAME.error.txt; the same command tries these again" in out
    monkeypatch.setattr(sys, "argv", [])
    assert main(["table", "fseft-known", *BIAS, "--out", "here"]) == 0
    assert "8 cells, 2 to do" in capsys.readouterr().out


def test_a_collected_file_renders_as_its_folder(ran, capsys):
    main(["table", "fseft-known", *BIAS, "--out", "here"])
    capsys.readouterr()
    assert main(["table", "fseft-known", "--out", "here", "--collect", "all.json"]) == 0
    assert capsys.readouterr().out == "all.json: 8 cells\n"
    assert len(read_json("all.json")["rows"]) == 8
    words = ["table", "fseft-known", *BIAS, "--render-only", "--out"]
    assert main([*words, "here"]) == 0
    from_folder = capsys.readouterr().out
    assert main([*words, "all.json"]) == 0
    assert capsys.readouterr().out == from_folder
    assert "| Bias | 60.0 (71.2) |" in from_folder
    assert main(["table", "fseft-novel", "--render-only", "--out", "all.json"]) == 2
    assert "holds results of table fseft-known" in capsys.readouterr().err


def test_results_of_another_setting_are_refused(ran, capsys):
    main(["table", "fseft-known", *BIAS, "--limit", "1", "--out", "here"])
    assert main(["table", "fseft-novel", "--scheduler", "serial", "--out", "here"]) == 2
    assert "table is 'fseft-known' there, 'fseft-novel' here" in capsys.readouterr().err
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ma_sam_btcv"], "no runner yet for ma_sam_btcv"),
        (["fseft_known_swin"], "ask for fseft-known --kinds swin"),
        (["fseft-knwn"], "did you mean fseft-known"),
        (["fseft-known", "--profile", "paper"], "name its folder with --data"),
        (["fseft-known", "--profile", "paper", "--data", "none"], "must be the folder of"),
        (["fseft-flare22", "--profile", "paper"], "the converted FLARE22; name its folder"),
        (["fseft-known", "--profile", "paper", "--data", "."], "train few_shot_swin --profile"),
        (["fseft-known", "--profile", "paper", "--data", ".", "--weights", "."], "_unet_2100.pth"),
        (["fseft-known", "--structures", "spleeen"], "did you mean spleen"),
        (["fseft-known", "--steps", "0"], "--steps must be at least 1"),
        (["fseft-known", "--weights", "."], "leave --weights out"),
        (["fseft-known", "--data", "."], "takes virtual patients"),
        (["fseft-known", "--rows", "Lora", "Bais"], "unknown row 'bais'; did you mean bias"),
        (["fseft-known", "--seeds", "7"], "seeds of fseft-known are [0, 1, 2], got [7]"),
        (["fseft-novel", "--kinds", "unet"], "unknown backbone 'unet'"),
        (["fseft-known", "--rows", "LoRA", "--kinds", "unet"], "no cell of these rows"),
        (["fseft-known", "--scheduler", "pbs"], "--scheduler is local, serial, slurm or"),
        (["fseft-known", "--workers", "-1"], "must be 0 or more"),
        (["fseft-known", "--render-only"], "no such file or directory"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_status_2(ran, words, said, capsys, tmp_path):
    assert main(["table", *words]) == 2
    assert said in capsys.readouterr().err
    assert ran == []
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_has_a_folder_of_its_own_and_says_what_it_is(ran, tmp_path, capsys):
    words = ["table", "fseft-known", *BIAS, "--steps", "2", "--structures", "spleen"]
    assert main(words) == 0
    assert "2 cells, 2 to do" in capsys.readouterr().out
    text = (tmp_path / "runs/tables/fseft-known-quick-rehearsal/table.md").read_text()
    assert text.startswith("**A rehearsal, no result of the quick setting**: steps {'decoder': 2")
    assert main([*words[:-3], "5", "--out", "runs/tables/fseft-known-quick-rehearsal"]) == 2
    assert "another configuration (setting.steps.decoder is 2 there" in capsys.readouterr().err


def test_gpus_are_dealt_to_as_many_workers_as_share_them(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    workers, runner = Table(name="fseft-known", workers_per_gpu=3).runner()
    assert (workers, runner.workers, runner.gpus) == (6, 6, ("0", "1"))
    workers, runner = Table(name="fseft-known", scheduler="tcp://host:8786", workers=9).runner()
    assert (workers, runner.address) == (9, "tcp://host:8786")
    workers, runner = Table(name="fseft-known", scheduler="slurm", profile="gpu").runner()
    assert (workers, runner.gpus_per_job) == (1, 1)
