"""Writes the environment files from constraints.txt, so that pip, conda and Binder cannot drift.

Run by `make pins`; `tests/test_environment.py` fails when a file is not what this writes.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"
AFTER = "conda env create -f {file} && conda activate {name} && pip install --no-deps -e ."
# itkwidgets 1.0 needs pydantic 1: ours and what only it brings in are left to pip there.
PYDANTIC_2 = ("annotated-types", "pydantic", "pydantic-core", "typing-inspection")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment file: what conda-forge gives, and what pip gives on top."""

    file: str
    """Path below the repository root."""
    name: str
    """Name of the conda environment (Binder ignores it)."""
    about: tuple[str, ...]
    """Comment lines at the top."""
    conda: tuple[tuple[str, str], ...] = ()
    """Pairs of a conda-forge package and the pin it repeats."""
    extra: tuple[str, ...] = ()
    """Requirements of this environment alone, pip syntax."""
    without: tuple[str, ...] = ()
    """Pins that this environment cannot keep."""


CPU = (("numpy", "numpy"), ("pytorch-cpu", "torch"))
ENVIRONMENTS = (
    Environment(
        file="environment.yml",
        name="fmtutor",
        about=("The workbook on a machine without a GPU.",),
        conda=CPU,
    ),
    Environment(
        file="environment-gpu.yml",
        name="fmtutor-gpu",
        about=("The workbook on an NVIDIA GPU under Linux: pip's torch is the CUDA build there.",),
    ),
    Environment(
        file="environment-itk.yml",
        name="fmtutor-itk",
        about=(
            'For `view3d(backend="itk")` alone: it loads parts of its viewer from the internet',
            "in the browser, and it needs pydantic 1.",
        ),
        extra=("itkwidgets[lab]==1.0a55", "ngff-zarr==0.30.0"),
        without=PYDANTIC_2,
    ),
    Environment(
        file="binder/environment.yml",
        name="fmtutor",
        about=("Binder reads this file; postBuild installs fmtutor itself.",),
        conda=CPU,
    ),
)


def pins(part: str = "package") -> dict[str, str]:
    """Return name to exact version of one part of constraints.txt, "package" or "development"."""
    text = (ROOT / "constraints.txt").read_text()
    lines = text.split(f"# -- {part} --\n")[1].split("# --")[0].split()
    return dict(line.split("==") for line in lines)


def render(environment: Environment) -> str:
    """Return the text of an environment file."""
    versions = pins()
    by_conda = {pin for _, pin in environment.conda}
    by_pip = [
        f"{name}=={version}"
        for name, version in versions.items()
        if name not in by_conda and name not in environment.without
    ]
    after = AFTER.format(file=environment.file, name=environment.name)
    head = [f"# {line}" for line in environment.about]
    if not environment.file.startswith("binder/"):
        head.append(f"# {after}")
    head.append("# Written by `make pins` from constraints.txt; change the pins there.")
    conda = [f"python={PYTHON}", "pip"]
    conda += [f"{package}={versions[pin]}" for package, pin in environment.conda]
    lines = [*head, f"name: {environment.name}", "channels:", "  - conda-forge", "dependencies:"]
    lines += [f"  - {item}" for item in conda]
    lines += ["  - pip:", *(f"      - {item}" for item in (*environment.extra, *by_pip))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for environment in ENVIRONMENTS:
        (ROOT / environment.file).write_text(render(environment))
