"""The forked process that defines a student's functions, calls one, and writes what it returns."""

import json
import os
import pickle
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

from . import isolation
from .answers import encode
from .lifting import Lifted, lift

ANSWER_FD = 3
MESSAGE = 300
UNWRITTEN = "not written yet"


def run(job: dict[str, Any], payload: bytes, namespaces: tuple[str, ...]) -> None:
    """Shut this process off, then answer every case; each answer is one line on the pipe.

    Args:
        job: Folder, limits and what to conceal.
        payload: The pickled question, from the grader alone: sources and arguments.
        namespaces: What `isolation.own_namespaces` obtained.
    """
    try:
        folder = Path(job["folder"])
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(HOME=str(folder), TMPDIR=str(folder), OMP_NUM_THREADS="1")
        question = pickle.loads(payload)
        isolation.limit(seconds=job["seconds"], memory_bytes=job["memory_mb"] * 2**20)
        files = isolation.shut_files(folder, tuple(job["hidden_packages"]))
        shut = [*namespaces, *(["files"] if files else [])]
        isolation.refuse_in_python(folder, tuple(job["concealed"]))
    except Exception:
        write({"broken": traceback.format_exc()})
        return
    # From this line on the pipe may say anything: the student's code is next.
    write({"isolation": shut})
    if "files" in shut or not job["needs_files_shut"]:
        answer(question)


def answer(question: dict[str, Any]) -> None:
    """Define the functions in a namespace of the instructor's making, and call the one asked."""
    namespace: dict[str, Any] = {"__name__": "answers"}
    exec(question["given"], namespace)
    name, lifted = question["name"], lift(question["cells"], question["names"])
    broken = define(lifted, namespace)
    if name not in namespace or name in broken:
        write({"missing": broken.get(name) or describe_missing(name, lifted)})
        return
    if question["probe"]:
        exec(question["probe"], namespace)
        ask = namespace[f"probe_{name}"]
    else:
        ask = call
    for case, arguments in question["cases"].items():
        write({"case": case, **attempt(ask, namespace[name], arguments)})


def call(function: Any, *arguments: Any) -> Any:
    """Call the function: how most questions are asked."""
    return function(*arguments)


def define(lifted: Lifted, namespace: dict[str, Any]) -> dict[str, str]:
    """Define every function found; one that fails (a bad default) must not stop the others."""
    broken = {}
    for name, code in lifted.functions.items():
        try:
            exec(code, namespace)
        except BaseException as error:
            broken[name] = f"defining {name} failed: {describe(error, code)}"
    return broken


def describe_missing(name: str, lifted: Lifted) -> str:
    """Say why there is no such function."""
    text = f"no `def {name}(...)` was found at the outermost level of a cell"
    return "; ".join([text, *lifted.unreadable])


def attempt(ask: Any, function: Any, arguments: tuple) -> dict[str, Any]:
    """Return one encoded answer, or what went wrong in words."""
    try:
        return {"value": encode(ask(function, *arguments))}
    except NotImplementedError:
        return {"error": UNWRITTEN}
    except BaseException as error:
        return {"error": describe(error)}


def describe(error: BaseException, code: CodeType | None = None) -> str:
    """Say an error in one line, with the line of the answer it came from."""
    if isinstance(error, SystemExit):
        return "it ended the process (sys.exit); a function returns its answer"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "it needs more memory than this question allows"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<your answer>"]
    where = f" (line {lines[-1]} of your cell)" if lines else ""
    return f"{type(error).__name__}: {str(error)[:MESSAGE]}{where}"


def write(line: dict[str, Any]) -> None:
    """Write one line to the pipe, whole."""
    data = (json.dumps(line) + "\n").encode()
    while data:
        data = data[os.write(ANSWER_FD, data) :]


def keep_only(pipe: int) -> None:
    """Let this process have the pipe and nothing else that its parent had open."""
    empty = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(empty, stream)
    os.dup2(pipe, ANSWER_FD)
    os.closerange(ANSWER_FD + 1, 1024)
