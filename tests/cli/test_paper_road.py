"""The README's road from a download to a table of the paper profile, rehearsed on a look-alike.

The commands are the README's, run as a user runs them. A rehearsal adds to each what it cuts:
steps, the network's width, the patch, and how many cells there are.
"""

import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import load_file

from fmtutor.bench.few_shot_grid import cells_of
from fmtutor.bench.few_shot_results import collect, read_results
from fmtutor.bench.few_shot_table import summary
from fmtutor.cli import main
from fmtutor.core.files import read_json
from fmtutor.data.few_shot_splits import published_split
from fmtutor.hub.layouts import PUBLISHED
from tests.data_scripts.faulty_server import serving
from tests.data_scripts.torso_look_alikes import DAMAGED, TOP, archive, scans_of, teachers
from tests.hub.test_layouts import drawn_tensors, published_file

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ARCHIVE = "Totalsegmentator_dataset.zip"
PATCH = ("--patch", "64", "32", "32")
WIDTH = {"unet": "4", "swin": "12"}
FEW_CELLS = ("--structures", "spleen", "--rows", "Affine-LN", "Bias", "--seeds", "0")
ONE_CELL = ("--structures", "spleen", "--rows", "Linear Probe", "--kinds", "unet", "--seeds", "0")
FROM_HERE = f"""
import sys
from dataclasses import replace
sys.path.insert(0, {str(ROOT / "data_scripts")!r})
from steps import main
from totalsegmentator_v1 import WORKS
work = WORKS[0]
there = dict(url=sys.argv.pop(1), checksum=sys.argv.pop(1), size=None)
files = (replace(work.source.files[0], **there),)
sys.exit(main(replace(work, source=replace(work.source, files=files))))
"""
"""The script of the README, which asks the server that its first two words name."""


def readme_command(begins: str, folder: Path) -> list[str]:
    """Return the words of the README's command, its FOLDER being this one."""
    (line,) = re.findall(rf"^{re.escape(begins)}.*FOLDER.*$", README, re.MULTILINE)
    return shlex.split(line.replace("FOLDER", str(folder)), comments=True)


def ran(words: list[str], folder: Path) -> str:
    """Run a command in a folder and return what it printed; it must end well."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fmtutor(words: list[str]) -> list[str]:
    """Return how the installed command of these words is called from a checkout."""
    assert words[0] == "fmtutor"
    return [sys.executable, "-m", *words]


def fetched(folder: Path, scans: list[str]) -> str:
    """Fetch, unpack and convert the look-alike from a server on this machine."""
    content = archive(scans)
    _, _, *options = readme_command("python data_scripts/totalsegmentator_v1.py", folder / "data")
    with serving({ARCHIVE: content}) as server:
        there = [f"{server.address}/{ARCHIVE}", f"sha256:{hashlib.sha256(content).hexdigest()}"]
        return ran([sys.executable, "-c", FROM_HERE, *there, *options], folder)


def trained(kind: str, folder: Path) -> Path:
    """Train a base with the README's command, cut, and return its folder."""
    words = readme_command(f"fmtutor train few_shot_{kind}", folder / "data")
    printed = ran([*fmtutor(words), "--steps", "1", "--width", WIDTH[kind], *PATCH], folder)
    assert "done: 1 steps in this run" in printed
    return folder / "runs" / "train" / f"few_shot_{kind}-paper-0-rehearsal"


@pytest.mark.slow
def test_the_readmes_commands_lead_from_the_download_to_the_table(tmp_path, monkeypatch, capsys):
    listed = set(scans_of("spleen", shots=10, seed=0))
    scans = sorted({*listed, *teachers(3)})
    assert len(scans) >= 8

    printed = fetched(tmp_path, scans)
    assert f"{len(scans)} written, 0 kept, 1 left out, 0 failed" in printed
    raw = tmp_path / "data" / "nnUNet_raw" / "Dataset501_TotalSegmentatorV1"
    assert read_json(raw / "dataset.json")["numTraining"] == len(scans)
    assert DAMAGED in read_json(raw / "conversion.json")["left_out"]

    for kind in ("unet", "swin"):
        base = trained(kind, tmp_path)
        (taught,) = read_json(base / "data.json")["datasets"].values()
        assert taught["scans"] == list(teachers(3)), "no scan of a few-shot list teaches"
        assert len((base / "history.jsonl").read_text().splitlines()) == 1
        assert load_file(base / "weights.safetensors")

    monkeypatch.chdir(tmp_path)
    words = readme_command("fmtutor table fseft-known", Path("data"))
    words += [*FEW_CELLS, "--steps", "1", *PATCH, "--scheduler", "serial"]
    printed = ran(fmtutor(words), tmp_path)
    assert "4 cells, 4 to do" in printed
    assert "GPU memory: at most" in printed
    assert_whole(Path("runs/tables/fseft-known-paper-rehearsal"), printed)

    assert main(words[1:]) == 0, "the same command goes on: nothing is left"
    assert "4 cells, 0 to do" in capsys.readouterr().out
    lost = published_split("spleen", "totalsegmentator").test[0]
    shutil.rmtree(next(Path("data").rglob(f"{lost}/segmentations")).parent)
    assert main(words[1:]) == 2
    assert f"lacks {lost}; unpack all of the dataset" in capsys.readouterr().err


def assert_whole(folder: Path, printed: str) -> None:
    """Check each product of the table: cells, the table, the collected file."""
    results = read_results(folder)
    assert len(results) == 4
    assert not list(folder.glob("*.error.txt"))
    tests = set(published_split("spleen", "totalsegmentator").test)
    for result in results:
        assert result["steps"] == len(result["loss"]) == 1
        assert result["base"] == f"few_shot_{result['cell']['kind']}-paper-0-rehearsal"
        assert {score["case"] for score in result["scores"]} == tests
        assert all(0 <= score["dice"] <= 1 for score in result["scores"])
        assert all(score["reference_ml"] > 1 for score in result["scores"])
    table = (folder / "table.md").read_text()
    assert table.strip() in printed
    assert table.startswith("**A rehearsal, no result of the paper setting**: patch ")
    assert table.count("-paper-0-rehearsal") == 2, "what the cells began from"
    assert collect(folder, folder.parent / "all.json") == 4
    wanted = {result["cell"]["label"] for result in results}
    cells = [
        cell for cell in cells_of("fseft-known", "paper")
        if (cell.structure, cell.seed) == ("spleen", 0) and cell.label in wanted
    ]  # fmt: skip
    rows = summary(read_results(folder.parent / "all.json"), cells)
    assert rows["complete"].all()
    assert rows["published"].notna().all()


@pytest.mark.slow
def test_a_table_begins_from_a_published_checkpoint_in_its_authors_layout(tmp_path):
    name = "suprem-unet"
    weights = tmp_path / "checkpoints"
    weights.mkdir()
    published_file(weights / PUBLISHED[name].file, drawn_tensors(name), wrapped=True)
    content = archive(sorted({*scans_of("spleen", shots=10, seed=0)}))
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    words = ["fmtutor", "table", "fseft-known", "--profile", "paper", "--data"]
    words += [str(tmp_path / TOP), "--weights", str(weights), *ONE_CELL, "--limit", "1"]
    printed = ran(fmtutor([*words, "--steps", "1", *PATCH, "--scheduler", "serial"]), tmp_path)
    assert "--limit: 1 of them in this run" in printed
    (result,) = read_results(tmp_path / "runs/tables/fseft-known-paper-rehearsal")
    assert result["base"] == name
    assert result["total_parameters"] > 19e6, "the published width"
    assert len(result["scores"]) == 5
    assert "The cells began from suprem-unet." in printed
