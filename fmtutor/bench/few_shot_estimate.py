"""What a few-shot sweep will take, said before it starts.

Seconds of a cell follow a rule: voxels that go through the network, times a cost per voxel that
depends on the backbone and on how far back the gradients reach. Finished cells of the folder then
scale the rule, so that the estimate becomes a measurement of the machine it runs on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from fmtutor.bench.few_shot_grid import Cell, Setting
from fmtutor.paradigms.adapt.training import EPOCHS

MEGA = 1e6
TRAIN_S = {
    ("unet", "head"): 0.9, ("unet", "decoder"): 3.2, ("unet", "encoder"): 3.6,
    ("swin", "head"): 1.5, ("swin", "decoder"): 5.4, ("swin", "encoder"): 7.9,
}  # fmt: skip
"""Seconds of one CPU core for a step over a million voxels with the small networks, by backbone and
by where gradients reach; measured with one step each."""
TEST_S = {"unet": 1.2, "swin": 2.9}
"""The same for an answer."""
FASTER = {"quick": 1.0, "gpu": 50.0, "paper": 20.0}
"""Assumed: how much faster a voxel is on a GPU, with the small networks and the published ones."""
TEST_MEGAVOXELS = 1.2
"""Voxels of the windows of one test volume at 4 mm, overlap counted."""
GPU_BYTES = {
    ("unet", "head"): 770, ("unet", "decoder"): 2360, ("unet", "encoder"): 3500,
    ("swin", "head"): 580, ("swin", "decoder"): 1570, ("swin", "encoder"): 3940,
    ("swin", "full"): 5470,
}  # fmt: skip
"""Bytes per voxel that the published networks keep for the backward pass, fp32: counted from the
tensors that autograd saves of a 96^3 patch."""
GPU_WORKSPACE, GPU_FIXED_GB = 1.3, 2.5
"""Factor for temporaries; CUDA context, weights, gradients and AdamW's state. Assumed."""
CPU_MB = 1500.0
"""Assumed of a worker until a cell has been measured."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is left to do, and what that takes."""

    cells: int
    """All cells asked for."""
    todo: int
    """Those without a result."""
    seconds: float
    """One worker's seconds for all of them."""
    workers: int
    measured: int
    """Finished cells that scaled the rule; 0 means that it is assumed."""
    memory_mb: float
    """Of one worker."""
    gpu_gb: float
    """Of one worker, fp32; 0 where no GPU is needed."""

    def described(self) -> list[str]:
        """Say it in lines for the terminal."""
        basis = (
            f"from {self.measured} finished cells" if self.measured else "assumed, none finished"
        )
        each = self.seconds / self.todo if self.todo else 0.0
        lines = [
            f"{self.cells} cells, {self.todo} to do; {each:.0f} s each ({basis}): "
            f"{duration(self.seconds / self.workers)} with {self.workers} worker"
            f"{'s' if self.workers > 1 else ''}",
            f"memory: {self.memory_mb:.0f} MB a worker" + ("" if self.measured else " (assumed)"),
        ]
        if self.gpu_gb:
            lines.append(
                f"GPU memory: at most {self.gpu_gb:.0f} GB a worker in fp32, about half in bf16 "
                "(by rule: tensors kept for the backward pass, x 1.3, + 2.5 GB)"
            )
        return lines


def estimate(
    cells: Sequence[Cell],
    results: Sequence[Mapping[str, Any]],
    setting: Setting,
    *,
    profile: str,
    workers: int,
) -> Estimate:
    """Estimate a sweep over cells, some of which may have results.

    Args:
        cells: All that are asked for.
        results: Of the folder, whatever cells they are of.
        setting: Of the cells.
        profile: "quick", "gpu" or "paper".
        workers: That share the cells.
    """
    done = {Cell(**result["cell"]).name for result in results}
    todo = [cell for cell in cells if cell.name not in done]
    factors = _measured(results, setting, profile)
    ruled = [(rule_seconds(cell, setting, profile), _group(cell)) for cell in todo]
    seconds = sum((s * factors.get(group, factors[None]) for s, group in ruled), 0.0)
    peaks = [result["peak_mb"] for result in results if result.get("peak_mb")]
    return Estimate(
        cells=len(cells), todo=len(todo), seconds=seconds, workers=max(1, workers),
        measured=len(results), memory_mb=max(peaks, default=CPU_MB),
        gpu_gb=max((gpu_gb(cell, setting) for cell in todo), default=0.0) * (profile != "quick"),
    )  # fmt: skip


def rule_seconds(cell: Cell, setting: Setting, profile: str) -> float:
    """Return the seconds of a cell by the rule alone, early stopping left out."""
    step = prod(setting.patch[cell.kind]) * setting.batch[cell.kind] / MEGA
    most = setting.steps[cell.spec.scope] or EPOCHS * cell.shots
    steps = 0 if cell.method == "zero_shot" else most
    test = TEST_MEGAVOXELS * prod(4.0 / mm for mm in setting.spacing_mm)
    reach = "head" if _keeps(cell, setting) else _reach(cell)
    costs = steps * step * TRAIN_S[cell.kind, "encoder" if reach == "full" else reach]
    return (costs + setting.tests * test * TEST_S[cell.kind]) / FASTER[profile]


def gpu_gb(cell: Cell, setting: Setting) -> float:
    """Return the GPU memory of a cell by the rule, for the published networks in fp32."""
    voxels = prod(setting.patch[cell.kind]) * setting.batch[cell.kind]
    reach = _reach(cell)
    kept = GPU_BYTES.get((cell.kind, reach), GPU_BYTES[cell.kind, "encoder"])
    return voxels * kept * GPU_WORKSPACE / 1e9 + GPU_FIXED_GB


def duration(seconds: float) -> str:
    """Write seconds as a person would: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _reach(cell: Cell) -> str:
    """Return how far back gradients go: "head", "decoder", "encoder", or all weights' "full"."""
    if cell.spec.how.black_box:
        return "head"
    if cell.method in ("decoder_fine_tune", "last_block"):
        return "decoder"
    return "full" if cell.method == "full_fine_tune" else "encoder"


def _keeps(cell: Cell, setting: Setting) -> bool:
    return cell.spec.how.black_box and setting.per_volume > 0


def _group(cell: Cell) -> tuple[str, str]:
    return cell.kind, _reach(cell)


def _measured(
    results: Sequence[Mapping[str, Any]], setting: Setting, profile: str
) -> dict[tuple[str, str] | None, float]:
    """Return measured over ruled seconds by group; None is all together, 1 without any result."""
    sums: dict[tuple[str, str] | None, list[float]] = {}
    for result in results:
        cell = Cell(**result["cell"])
        took = result["train_seconds"] + result["test_seconds"]
        for key in (_group(cell), None):
            pair = sums.setdefault(key, [0.0, 0.0])
            pair[0] += took
            pair[1] += rule_seconds(cell, setting, profile)
    return {None: 1.0, **{key: took / ruled for key, (took, ruled) in sums.items()}}
