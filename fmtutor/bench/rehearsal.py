"""The paper profile on less: what a rehearsal cuts, and how its products say that they are one.

A protocol that runs for GPU-days is tried first with the very commands that will be used, with
fewer steps, a narrower network and smaller patches, so that minutes show whether data, weights and
disk are as they must be. Such numbers are no results: trainings and tables of a rehearsal lie in
folders of their own, bound to the cut setting, so that none of them is ever taken for a cell of the
table, and their table says what was cut.
"""

from dataclasses import dataclass, replace
from typing import Any

from fmtutor.bench.few_shot_grid import Setting, setting_of
from fmtutor.core.configs import to_dict

Size = tuple[int, int, int]
SUFFIX = "-rehearsal"
"""Behind the name of a rehearsal's folder, unless another folder is named."""
SMALLEST: Size = (64, 32, 32)
"""Patch whose sides any other's are multiples of: Swin UNETR halves them five times, and its norms
need more than one voxel then."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What is less than the profile's; nothing by default.

    Raises:
        ValueError: A number is no size, or a patch does not fit the networks.
    """

    steps: int | None = None
    """Optimiser steps of a training or of a cell."""
    width: int | None = None
    """Features of the network's first level; deeper levels keep their ratio to it."""
    patch: Size | None = None
    """Voxels of a patch and of the windows at test."""

    def __post_init__(self) -> None:
        for name in ("steps", "width"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"--{name} must be at least 1, got {value}; leave it out for all.")
        if self.patch and any(
            side < 1 or side % least for side, least in zip(self.patch, SMALLEST, strict=True)
        ):
            raise ValueError(
                f"sides of --patch must be multiples of {SMALLEST}, got {self.patch}; take 64 32 "
                "32, or leave it out for the profile's."
            )

    def __bool__(self) -> bool:
        """Tell whether anything is cut."""
        return self != Cut()

    def setting(self, whole: Setting) -> Setting:
        """Return a table's setting with this cut; the width is that of the bases."""
        if self.steps is not None:
            whole = replace(whole, steps=dict.fromkeys(whole.steps, self.steps))
        if self.patch is not None:
            whole = replace(whole, patch=dict.fromkeys(whole.patch, self.patch))
        return whole

    def config(self, whole: Any) -> Any:
        """Return a system's configuration with this cut.

        Raises:
            ValueError: The system has no such size.
        """
        changes: dict[str, Any] = {}
        for name, field in (("steps", "steps"), ("width", "channels"), ("patch", "patch")):
            if (value := getattr(self, name)) is None:
                continue
            if not hasattr(whole, field):
                raise ValueError(f"--{name} cuts {field}, which this system lacks; leave it out.")
            changes[field] = value
        if self.width is not None:
            first, *_ = whole.channels
            changes["channels"] = tuple(max(1, n * self.width // first) for n in whole.channels)
        return replace(whole, **changes)


def told(there: dict[str, Any], table: str, profile: str) -> str:
    """Say what is cut in the results of a folder; empty where its setting is the profile's.

    Args:
        there: What the folder is bound to, as `fmtutor.bench.few_shot_results.read_config` gives.
        table: Name of the table.
        profile: Of the results.
    """
    whole = to_dict(setting_of(table, profile))
    cut = {name: value for name, value in there.get("setting", {}).items() if value != whole[name]}
    if not cut:
        return ""
    listed = "; ".join(f"{name} {value} in place of {whole[name]}" for name, value in cut.items())
    return f"**A rehearsal, no result of the {profile} setting**: {listed}."
