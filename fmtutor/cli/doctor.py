"""`fmtutor doctor`: what is here, what is missing, and what to do about it."""

import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

State = Literal["ok", "warn", "fail"]

PACKAGES = (
    *("torch", "monai", "numpy", "nibabel", "pydicom", "highdicom", "scipy", "einops", "jaxtyping"),
    *(
        "accelerate",
        "tyro",
        "pandas",
        "matplotlib",
        "jupyterlab",
        "ipykernel",
        "papermill",
        "nbval",
    ),
    *("anywidget", "ipyniivue"),
)
OPTIONAL = {
    "nbval": "tests of notebooks",
    "peft": "few-shot adapters",
    "dask": "sweeps over many workers",
    "playwright": "browser tests",
}
MEMORY_GB, DISK_GB = 2.0, 1.0
GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination."""

    what: str
    """The thing looked at."""
    state: State
    """ok; warn: something will be slower or missing; fail: notebooks will not run."""
    detail: str
    """What was found."""
    todo: str = ""
    """What to do; empty where nothing is to be done."""


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Say what is installed, which devices, samples and weights are here, and what to do."""

    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON instead of lines."""

    def run(self) -> int:
        """Print each finding as soon as it is known; exit status 1 if one failed."""
        found = []
        for finding in findings():
            found.append(finding)
            if not self.json:
                todo = f"\n       -> {finding.todo}" if finding.todo else ""
                print(f"{finding.state:5s}  {finding.what}: {finding.detail}{todo}", flush=True)
        if self.json:
            print(json.dumps([asdict(finding) for finding in found], indent=1))
        return int(any(finding.state == "fail" for finding in found))


def findings() -> Iterator[Finding]:
    """Look at everything, the cheap things first."""
    yield python()
    yield from packages()
    yield memory()
    yield from devices()
    yield from samples()
    yield from weights()


def python() -> Finding:
    """Name the interpreter; pip refuses to install on one older than 3.11."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding(what="python", state="ok", detail=detail)


def packages() -> Iterator[Finding]:
    """Check that each package is installed; nothing is imported."""
    for name in ("fmtutor", *PACKAGES, *OPTIONAL):
        try:
            yield Finding(what=name, state="ok", detail=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if name in OPTIONAL:
                use = OPTIONAL[name]
                yield Finding(what=name, state="ok", detail=f"not installed (optional: {use})")
            elif name == "fmtutor":
                yield Finding(
                    what=name, state="warn", detail="runs from its folder", todo="pip install -e ."
                )
            else:
                yield Finding(
                    what=name, state="fail", detail="not installed", todo="pip install -e ."
                )


def memory() -> Finding:
    """Check free memory and processors: a notebook takes up to 2 GB."""
    import psutil

    state = psutil.virtual_memory()
    detail = (
        f"{state.available / GB:.1f} of {state.total / GB:.1f} GB free, {os.cpu_count()} processors"
    )
    if state.available / GB >= MEMORY_GB:
        return Finding(what="memory", state="ok", detail=detail)
    todo = f"close other programs: a notebook takes up to {MEMORY_GB:.0f} GB"
    return Finding(what="memory", state="warn", detail=detail, todo=todo)


def devices() -> Iterator[Finding]:
    """List what torch can compute on."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding(
            what="devices",
            state="fail",
            detail=f"torch does not load: {error}",
            todo="pip install -e .",
        )
        return
    yield Finding(what="cpu", state="ok", detail=f"{torch.get_num_threads()} threads")
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        name = torch.cuda.get_device_name(number)
        detail = f"{name}, {free / GB:.1f} of {total / GB:.1f} GB free, {bf16}"
        yield Finding(what=f"cuda:{number}", state="ok", detail=detail)
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        todo = "install a CUDA build of torch (environment-gpu.yml)"
        yield Finding(
            what="cuda",
            state="warn",
            detail="a GPU driver is here, but torch cannot use it",
            todo=todo,
        )
    elif not torch.cuda.is_available():
        yield Finding(what="cuda", state="ok", detail="no GPU: the quick profile is made for this")


def samples() -> Iterator[Finding]:
    """Check the cache folder, its disk, and which samples are in it."""
    from fmtutor.data.samples import SAMPLES, cache_folder, is_cached

    folder = Path(cache_folder())
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free / GB
    detail = f"{homely(folder)}, {free:.1f} GB free"
    if not os.access(there, os.W_OK):
        todo = "set FMTUTOR_CACHE to a folder you can write"
        yield Finding(what="cache", state="fail", detail=f"{detail}, not writable", todo=todo)
    elif free < DISK_GB:
        todo = f"free {DISK_GB:.0f} GB, or set FMTUTOR_CACHE to a folder on another disk"
        yield Finding(what="cache", state="warn", detail=detail, todo=todo)
    else:
        yield Finding(what="cache", state="ok", detail=detail)
    for name, sample in SAMPLES.items():
        if is_cached(name):
            yield Finding(what=f"sample {name}", state="ok", detail=f"here, {sample.role}")
        else:
            todo = f"fmtutor samples {name}"
            yield Finding(what=f"sample {name}", state="warn", detail="not in the cache", todo=todo)


def homely(path: Path) -> str:
    """Write a path below the home folder with a tilde, so that a notebook may show it."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def weights() -> Iterator[Finding]:
    """List the weights shipped inside the package."""
    import fmtutor.hub

    folder = Path(fmtutor.hub.__file__).parent
    files = sorted(
        path for path in folder.rglob("*") if path.suffix in {".safetensors", ".pt", ".npz"}
    )
    for path in files:
        detail = f"{path.stat().st_size / 1e6:.1f} MB"
        yield Finding(what=f"weights {path.relative_to(folder)}", state="ok", detail=detail)
    if not files:
        todo = "train one: `fmtutor train multitalent`"
        yield Finding(
            what="weights", state="warn", detail="none shipped in this installation", todo=todo
        )
