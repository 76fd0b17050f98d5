"""The kernel's walls hold without the fence in Python, and the fence holds without the walls."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fmtutor.course.sandbox import landlock
from fmtutor.course.sandbox_process import HERE, Job, Sandbox

ATTACK = """
import json, os, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from sandbox import isolation
names = isolation.own_namespaces() if {namespaces} else ()
if os.fork():
    sys.exit(os.wait()[1])
if {walls}:
    isolation.shut_files(Path({folder!r}), ("fmtutor",))
if {fence}:
    isolation.refuse_in_python(Path({folder!r}), ({secrets!r},))
def happens(deed):
    try:
        deed()
    except OSError:
        return False
    return True
def write(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
import socket, subprocess
found = dict(
    names=names,
    read=happens(lambda: os.close(os.open({secrets!r} + "/solution", os.O_RDONLY))),
    listed=happens(lambda: os.listdir({secrets!r})),
    outside=happens(lambda: write({secrets!r} + "/new")),
    removed=happens(lambda: os.remove({secrets!r} + "/solution")),
    inside=happens(lambda: write({folder!r} + "/new")),
    package=happens(lambda: open(json.__file__).close()),
    program=happens(lambda: subprocess.run(["true"])),
    called=happens(lambda: socket.create_connection(("127.0.0.1", {port}), 1)),
)
sys.stdout.write(json.dumps(found))
sys.stdout.flush()
"""


@pytest.fixture
def attack(tmp_path):
    """Return what an attacker gets done behind walls (kernel), a fence (Python) or both."""
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    secrets, folder = tmp_path / "secrets", tmp_path / "folder"
    secrets.mkdir()
    folder.mkdir()

    def run(*, walls, fence, namespaces):
        (secrets / "solution").write_text("x")
        code = ATTACK.format(
            here=str(HERE),
            folder=str(folder),
            secrets=str(secrets),
            port=server.getsockname()[1],
            walls=walls,
            fence=fence,
            namespaces=namespaces,
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    yield run
    server.close()


GOOD = {"inside": True, "package": True}
BAD = ("read", "listed", "outside", "removed", "program")


def test_without_walls_and_fence_everything_happens(attack):
    found = attack(walls=False, fence=False, namespaces=False)
    assert all(found[name] for name in (*BAD, *GOOD, "called"))


@pytest.mark.skipif(landlock.version() == 0, reason="this system has no Landlock")
def test_the_walls_hold_alone(attack):
    found = attack(walls=True, fence=False, namespaces=False)
    assert {name: found[name] for name in (*BAD, *GOOD)} == dict.fromkeys(BAD, False) | GOOD
    assert found["called"] == (landlock.version() < 4)


def test_the_fence_holds_alone_against_plain_python(attack):
    found = attack(walls=False, fence=True, namespaces=False)
    assert {name: found[name] for name in (*BAD, *GOOD)} == dict.fromkeys(BAD, False) | GOOD
    assert not found["called"]


def test_a_network_of_its_own_reaches_nobody(attack):
    found = attack(walls=False, fence=False, namespaces=True)
    if not found["names"]:
        pytest.skip("this user may not make namespaces")
    assert not found["called"]


def job(*lines, seconds=20.0, cases=None):
    return Job(
        name="f",
        names=("f", "g"),
        cells=("\n".join(lines),),
        given="import torch",
        cases=cases or {"one": (1,)},
        seconds=seconds,
        memory_mb=256,
    )


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with Sandbox((tmp_path_factory.mktemp("secrets"),)) as sandbox:
        yield sandbox


def test_an_answer_may_call_the_students_other_answers(sandbox):
    found = sandbox.ask(job("def g(x):", "    return x + 1", "def f(x):", "    return g(x) * 2"))
    assert found.answers == {"one": 4}


def test_a_bad_default_of_another_answer_does_no_harm(sandbox):
    found = sandbox.ask(job("def g(x=1 / 0):", "    return x", "def f(x):", "    return x"))
    assert found.answers == {"one": 1}


def test_only_the_outermost_functions_are_taken(sandbox):
    found = sandbox.ask(job("f = lambda x: x", "class A:", "    def f(self): return 1"))
    assert "no `def f(...)` was found" in found.missing


def test_an_answer_starts_with_nothing_of_the_one_before(sandbox):
    sandbox.ask(job("def f(x):", "    torch.kept = 5", "    return open('kept', 'w').write('1')"))
    found = sandbox.ask(
        job("def f(x):", "    import os", "    return [hasattr(torch, 'kept'), *os.listdir('.')]")
    )
    assert found.answers == {"one": [False]}


def test_a_flood_of_output_is_cut(sandbox):
    found = sandbox.ask(job("def f(x):", "    return 'x' * 2 * 10**7"))
    assert "returned more than grading reads" in found.errors["one"]


def test_what_is_no_value_is_no_answer(sandbox):
    found = sandbox.ask(job("def f(x):", "    return torch.nn.Linear(1, 1)"))
    assert "must be made of numbers" in found.errors["one"]


def test_the_grader_survives_the_death_of_its_sandbox(sandbox):
    sandbox.ask(job("def f(x):", "    return x"))
    os.kill(sandbox.process.pid, 9)
    sandbox.process.wait()
    assert sandbox.ask(job("def f(x):", "    return x")).answers == {"one": 1}


def test_nothing_of_an_answer_stays_behind(sandbox, tmp_path):
    before = {path.name for path in Path(tempfile.gettempdir()).glob("answer-*")}
    sandbox.ask(
        job("def f(x):", "    open('a', 'w').write('x')", "    while True: pass", seconds=2.0)
    )
    assert {path.name for path in Path(tempfile.gettempdir()).glob("answer-*")} <= before
