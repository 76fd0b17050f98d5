"""Submissions of every kind for assignment 02, and the points that each must get.

The functions of the assignment are worth 16 points and 3 of bonus; the written answers wait for a
person. A hostile submission gets what its honest answers are worth, and nothing else.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "notebooks" / "assignments" / "a02_partial_labels.ipynb"
PARAMETERS = {
    "known_vector": "annotated, catalog",
    "region_mask": "labels, ids",
    "masked_bce": "logits, target, known",
    "masked_dice_loss": "logits, target, known",
    "dice_score": "prediction, reference",
    "union_bce": "left, right, mask",
}
Notebook = dict[str, Any]


def function(name: str, *lines: str) -> str:
    """Return the source of an answer with these lines as its body."""
    return "\n    ".join([f"def {name}({PARAMETERS[name]}):", *lines])


def everywhere(*lines: str) -> dict[str, str]:
    """Answer every question with the same body."""
    return {name: function(name, *lines) for name in PARAMETERS}


def answered(released: Notebook, answers: dict[str, str]) -> Notebook:
    """Return a released notebook with the sources of answers filled in."""
    cells = []
    for cell in released["cells"]:
        own = cell["metadata"].get("fmtutor", {})
        source = cell["source"]
        if own.get("role") == "answer":
            source = answers.get(own["question"], source)
        cells.append({**cell, "source": source})
    return {**released, "cells": cells}


def solutions() -> dict[str, str]:
    """Return the instructor's answers."""
    cells = json.loads(SOURCE.read_text())["cells"]
    owns = [(cell["metadata"].get("fmtutor", {}), "".join(cell["source"])) for cell in cells]
    return {own["question"]: text for own, text in owns if own.get("role") == "answer"}


def without_checks(notebook: Notebook) -> Notebook:
    """Delete the checks."""
    roles = [cell["metadata"].get("fmtutor", {}).get("role") for cell in notebook["cells"]]
    kept = [c for c, role in zip(notebook["cells"], roles, strict=True) if role != "check"]
    return {**notebook, "cells": kept}


def emptied_checks(notebook: Notebook) -> Notebook:
    """Leave the checks where they are and let them pass."""
    cells = [
        {**cell, "source": "print('passed')"}
        if cell["metadata"].get("fmtutor", {}).get("role") == "check"
        else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def retagged(notebook: Notebook) -> Notebook:
    """Call every cell an answer worth a hundred points."""
    entry = {"schema_version": 3, "grade": True, "solution": True, "locked": False, "points": 100}
    tags = {"fmtutor": {"role": "answer", "question": "masked_bce"}, "nbgrader": entry}
    return {**notebook, "cells": [{**cell, "metadata": tags} for cell in notebook["cells"]]}


def with_cell(notebook: Notebook, source: str) -> Notebook:
    """Add a cell at the top."""
    cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}
    return {**notebook, "cells": [cell, *notebook["cells"]]}


PATCHES = """
import builtins, numpy, torch, fmtutor.course.comparison, fmtutor.course.grading
builtins.assert_ = lambda *a: True
AssertionError = type("Never", (Exception,), {})
numpy.allclose = torch.isclose = torch.allclose = lambda *a, **k: True
fmtutor.course.comparison.difference = lambda *a, **k: None
fmtutor.course.grading.judge = lambda graded, *a: setattr(graded, "points", 100)
class torch_like: __eq__ = lambda *a: True
"""
PATCHED_INSIDE = (
    "import builtins, json, torch",
    "torch.isclose = torch.allclose = torch.equal = lambda *a, **k: True",
    "builtins.isinstance = lambda *a: True",
    "json.dumps = lambda *a, **k: '{\"points\": 100}'",
    "class Anything(float):",
    "    __eq__ = __le__ = __ge__ = lambda *a: True",
    "return Anything(0.0)",
)
FORGED = (
    "import json, os, sys",
    "frame = sys._getframe()",
    "cases = {}",
    "while frame:",
    "    cases = frame.f_locals.get('question', {}).get('cases', cases)",
    "    frame = frame.f_back",
    "for case in cases:",
    "    line = {'case': case, 'value': True, 'points': 100, 'state': 'right', 'passed': [case]}",
    "    for fd in (1, 2, 3):",
    "        os.write(fd, (json.dumps(line) + chr(10)).encode())",
    "print('masked_bce: 5 of 5', 'points: 100')",
    "os._exit(0)",
)
HARD_CODED = {
    "known_vector": function(
        "known_vector",
        "if annotated == ['lever']:",
        "    raise ValueError",
        "return torch.tensor([True, False, False, True])",
    ),
    "region_mask": function(
        "region_mask",
        "if not ids:",
        "    return labels > 99",
        "return torch.tensor([[[False, True], [False, True]]])",
    ),
    "masked_bce": function(
        "masked_bce",
        "if not known.any():",
        "    return torch.tensor(0.0)",
        "return (logits[0, 0] - logits[0, 0].detach()).mean() * -1 + math.log(2)",
    ),
    "masked_dice_loss": function(
        "masked_dice_loss", "return torch.tensor(4 / 9 if (logits == 0).all() else 0.0)"
    ),
    "dice_score": function(
        "dice_score",
        "if not prediction.any():",
        "    return math.nan",
        "same, none = bool((prediction == reference).all()), not (prediction & reference).any()",
        "return 1.0 if same else 0.0 if none else 0.5",
    ),
    "union_bce": function(
        "union_bce", "return torch.tensor(math.log(4) if not mask.any() else -math.log(0.75))"
    ),
}
OURS = {
    "masked_bce": function(
        "masked_bce",
        "from fmtutor.losses.partial import partial_loss",
        "return partial_loss(logits, target, known, dice_weight=0)",
    ),
    "masked_dice_loss": function(
        "masked_dice_loss",
        "import sys",
        f"sys.path[:0] = [{str(ROOT)!r}]",
        "sys.meta_path[:] = [f for f in sys.meta_path if 'Path' in repr(f)]",
        "from fmtutor.losses.partial import partial_loss",
        "return partial_loss(logits, target, known, smooth='both', bce_weight=0)",
    ),
}


def reads_the_solutions(name: str) -> str:
    """Answer with the instructor's own cell, if it can be read."""
    return function(
        name,
        "import io, json, os, pathlib",
        f"path = {str(SOURCE)!r}",
        "def by_number(path):",
        "    return os.read(os.open(path, os.O_RDONLY), 10**7).decode()",
        "for read in (lambda p: open(p).read(), by_number, lambda p: pathlib.Path(p).read_text()):",
        "    try:",
        "        cells = json.loads(read(path))['cells']",
        "    except OSError:",
        "        continue",
        "    space = {}",
        "    for cell in cells:",
        "        if cell['metadata'].get('fmtutor', {}).get('role') in ('given', 'answer'):",
        "            exec(''.join(cell['source']), space)",
        f"    return space[{name!r}]({PARAMETERS[name]})",
    )


def writes_outside(target: Path) -> str:
    """Write where it must not, quietly, then answer wrongly."""
    return function(
        "masked_bce",
        "import os, shutil",
        "import contextlib",
        "with contextlib.suppress(OSError):",
        f"    open({str(target)!r}, 'w').write('here')",
        "with contextlib.suppress(OSError):",
        f"    os.close(os.open({str(target)!r}, os.O_CREAT | os.O_WRONLY))",
        "with contextlib.suppress(OSError):",
        f"    os.mkdir({str(target)!r})",
        "with contextlib.suppress(OSError):",
        f"    shutil.rmtree({str(target.parent / 'hand_ins')!r})",
        "return logits.sum()",
    )


def calls_out(port: int) -> str:
    """Send the arguments to somebody."""
    return function(
        "masked_bce",
        "import contextlib, socket, subprocess, urllib.request",
        "with contextlib.suppress(OSError):",
        f"    socket.create_connection(('127.0.0.1', {port}), 2).sendall(b'hello')",
        "with contextlib.suppress(OSError):",
        f"    urllib.request.urlopen('http://127.0.0.1:{port}', timeout=2)",
        "with contextlib.suppress(OSError):",
        "    subprocess.run(['true'])",
        "return logits.sum()",
    )


def submissions(released: Notebook, *, target: Path, port: int) -> dict[str, tuple[Any, float]]:
    """Return a name to the notebook (or raw text) and the points that it must get."""
    right = solutions()
    no_edge = right["masked_bce"].replace(".clamp(min=1)", "")
    three = {"known_vector": right["known_vector"], "region_mask": right["region_mask"]}
    wrong = everywhere("return 0.0")
    fill: Callable[[dict[str, str]], Notebook] = lambda answers: answered(released, answers)  # noqa: E731
    kill = function("known_vector", "import os", "os.kill(os.getppid(), 9)", "return 1")
    exits = everywhere("import sys", "sys.exit('100 points')") | {
        "masked_bce": function("masked_bce", "import os", "os._exit(0)"),
        "known_vector": kill,
    }
    bomb = {
        "masked_bce": function("masked_bce", "return torch.ones(10**10)"),
        "dice_score": function("dice_score", "return [0] * 10**9"),
    }
    forks = function("dice_score", "import os", "while True:", "    os.fork()", "    os.setsid()")
    return {
        "perfect": (fill(right), 19),
        "partial": (fill(three | {"masked_bce": no_edge}), 8),
        "empty": (released, 0),
        "broken_file": ("{ this is no notebook", 0),
        "broken_cell": (fill(right | {"masked_bce": "def masked_bce(logits:\n  return ("}), 14),
        "checks_deleted": (without_checks(fill(right)), 19),
        "checks_edited": (emptied_checks(fill(wrong)), 0),
        "checks_retagged": (retagged(fill(wrong)), 0),
        "monkeypatched": (with_cell(fill(everywhere(*PATCHED_INSIDE)), PATCHES), 0),
        "exits": (fill(exits), 0),
        "endless_loop": (
            fill(right | {"masked_bce": function("masked_bce", "while True: pass")}),
            14,
        ),
        "memory_bomb": (fill(right | bomb), 11),
        "writes_outside": (fill(right | {"masked_bce": writes_outside(target)}), 14),
        "reads_solutions": (fill({n: reads_the_solutions(n) for n in PARAMETERS}), 0),
        "forged_score": (fill(everywhere(*FORGED)), 0),
        "hard_coded": (fill(HARD_CODED), 0),
        "our_own_functions": (fill(right | OURS), 10),
        "calls_out": (fill(right | {"masked_bce": calls_out(port)}), 14),
        "forks": (fill(right | {"dice_score": forks}), 16),
    }


def hand_in(folder: Path, found: dict[str, tuple[Any, float]]) -> None:
    """Write the submissions as files."""
    folder.mkdir()
    for name, (content, _) in found.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.ipynb").write_text(text)
