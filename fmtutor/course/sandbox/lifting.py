"""Take the functions that were asked for out of a notebook, and nothing else of it."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import CodeType

CELL_CHARACTERS = 200_000


@dataclass
class Lifted:
    """What was found: the code of each function, and why cells could not be read."""

    functions: dict[str, CodeType] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def lift(cells: Iterable[str], names: Iterable[str]) -> Lifted:
    """Return the last definition of every function in ``names``.

    Only a `def` at the outermost level of a cell is taken, as running the notebook from top to
    bottom would leave it. Assignments, classes, imports and calls of a cell are left behind.

    Args:
        cells: The sources of the code cells, in order.
        names: The functions that were asked for.
    """
    wanted, found = set(names), Lifted()
    for number, source in enumerate(cells, start=1):
        if len(source) > CELL_CHARACTERS:
            found.unreadable.append(f"code cell {number} is longer than {CELL_CHARACTERS} letters")
            continue
        try:
            tree = ast.parse(without_magics(source))
            for node in tree.body:
                if isinstance(node, ast.FunctionDef) and node.name in wanted:
                    alone = ast.Module([node], [])
                    found.functions[node.name] = compile(alone, "<your answer>", "exec")
        except SyntaxError as error:
            found.unreadable.append(f"code cell {number}, line {error.lineno}: {error.msg}")
        except (ValueError, RecursionError, MemoryError) as error:
            found.unreadable.append(f"code cell {number}: {type(error).__name__}")
    return found


def without_magics(source: str) -> str:
    """Empty the lines that only IPython understands; line numbers stay as they are."""
    lines = source.split("\n")
    if lines[0].lstrip().startswith("%%"):
        return "\n" * (len(lines) - 1)
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)
