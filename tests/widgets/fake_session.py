"""A session without a network: a ball at each click. For tests of widgets, and in their kernels."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fmtutor.data.cases import Case

RADIUS_MM = 12.0


@dataclass(frozen=True)
class Point:
    voxel: tuple[int, int, int]
    positive: bool


Box = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True)
class FakeAsked:
    clicks: tuple[Point, ...]
    box: Box | None


@dataclass(frozen=True)
class FakeStep:
    structure: str
    seconds: float = 0.0
    box: tuple[slice, slice, slice] | None = None
    message: str = ""


@dataclass(frozen=True)
class Change:
    structure: str
    prompt: Point | Box
    box: tuple[slice, slice, slice]
    before: np.ndarray


class FakeSession:
    """Balls are added by positive clicks and cut out by negative ones; boxes are filled."""

    def __init__(self, case: Case, structures=("liver",), *, delay_s=0.0, boxes=True) -> None:
        self.case = case
        self.active = structures[0]
        self.log: list = []
        self._masks = {name: np.zeros(case.image.shape, dtype=bool) for name in structures}
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._callbacks: list[Callable] = []
        self._delay_s, self._boxes = delay_s, boxes

    @property
    def structures(self):
        return tuple(self._masks)

    def mask(self, structure):
        return self._masks[structure]

    def prompts(self, structure):
        given = [change.prompt for change in self._done if change.structure == structure]
        boxes = [prompt for prompt in given if not isinstance(prompt, Point)]
        clicks = tuple(prompt for prompt in given if isinstance(prompt, Point))
        return FakeAsked(clicks, boxes[-1] if boxes else None)

    def on_change(self, callback):
        self._callbacks.append(callback)

    def click(self, voxel, positive=True, structure=None):
        name = structure or self.active
        reach = [int(np.ceil(RADIUS_MM / edge)) for edge in self.case.spacing_mm]
        box = tuple(
            slice(max(0, v - r), min(size, v + r + 1))
            for v, r, size in zip(voxel, reach, self.case.image.shape, strict=True)
        )
        grid = np.meshgrid(*(np.arange(part.start, part.stop) for part in box), indexing="ij")
        away = sum(
            ((at - v) * edge) ** 2
            for at, v, edge in zip(grid, voxel, self.case.spacing_mm, strict=True)
        )
        return self._give(name, Point(tuple(voxel), positive), box, away <= RADIUS_MM**2, positive)

    def box(self, low, high, structure=None):
        if not self._boxes:
            raise ValueError("this system takes no boxes; click instead.")
        box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
        shape = self._masks[structure or self.active][box].shape
        prompt = (tuple(low), tuple(high))
        return self._give(structure or self.active, prompt, box, np.ones(shape, dtype=bool), True)

    def undo(self):
        return self._swap(self._done, self._undone, "undo")

    def redo(self):
        return self._swap(self._undone, self._done, "redo")

    def clear(self, structure=None):
        names = self.structures if structure is None else (structure,)
        self._done = [change for change in self._done if change.structure not in names]
        for name in names:
            self._masks[name] = np.zeros(self.case.image.shape, dtype=bool)
        step = FakeStep(names[0], box=(slice(None),) * 3, message=f"{names[0]}: 0 ml; cleared")
        return self._tell(step)

    def add(self, name):
        if name in self._masks:
            raise ValueError(f"there is a {name} already.")
        self._masks[name] = np.zeros(self.case.image.shape, dtype=bool)

    def _give(self, name, prompt, box, where, positive):
        start = time.perf_counter()
        time.sleep(self._delay_s)
        part = self._masks[name][box]
        self._done.append(Change(name, prompt, box, part.copy()))
        self._undone.clear()
        part[where] = positive
        return self._tell(FakeStep(name, time.perf_counter() - start, box))

    def _swap(self, source, target, what):
        if not source:
            return FakeStep(self.active, message=f"nothing to {what}")
        change = source.pop()
        part = self._masks[change.structure][change.box]
        target.append(Change(change.structure, change.prompt, change.box, part.copy()))
        part[:] = change.before
        return self._tell(FakeStep(change.structure, 0.0, change.box))

    def _tell(self, step):
        self.log.append(step)
        for callback in self._callbacks:
            callback(step)
        return step
