"""A JupyterLab of its own for a browser test: nothing of the machine leaks in, all is ended.

`Lab` serves one notebook, `Planes` works one slice widget in it as a person does: by mouse and
keyboard, at places that it finds by voxel.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from jupyter_client import BlockingKernelClient

TOKEN = "only-for-this-test"
CHROMIUM_FLAGS = ["--no-sandbox", "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--disable-quic"]  # fmt: skip
ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
"""For a server or a kernel to start, on a machine that does other things too."""
ANSWER_S = 30.0
"""For what a page is asked to do."""
TIMES = "FMTUTOR_CLICK_TIMES"
"""Names a JSON file for the measured times."""


def keep_times(times: Sequence[float], name: str, what: str) -> None:
    """Print the milliseconds from click to painted mask, and keep them where it is asked for.

    Args:
        times: Of one click each.
        name: Key in the file.
        what: What was clicked, in words.
    """
    print(f"click to painted mask, {what}: {[round(t) if t == t else None for t in times]} ms")
    if target := os.environ.get(TIMES):
        path = Path(target)
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**kept, name: list(times)}), encoding="utf-8")


class Lab:
    """A server on a free loopback port, with one notebook."""

    def __init__(self, folder: Path, notebook: Path) -> None:
        self._folder, self._notebook = folder / "jupyter", notebook
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def __enter__(self) -> "Lab":
        quiet = self._folder / "settings/@jupyterlab/apputils-extension"
        quiet.mkdir(parents=True)
        news = {"fetchNews": "false", "checkForUpdates": False}
        (quiet / "notification.jupyterlab-settings").write_text(json.dumps(news))
        names = ("RUNTIME_DIR", "CONFIG_DIR", "DATA_DIR")
        own = {f"JUPYTER_{name}": str(self._folder / name.lower()) for name in names}
        own |= {"JUPYTERLAB_SETTINGS_DIR": str(self._folder / "settings")}
        own |= {"JUPYTERLAB_WORKSPACES_DIR": str(self._folder / "workspaces")}
        own |= {"HOME": str(self._folder), "IPYTHONDIR": str(self._folder / "ipython")}
        own |= {"FMTUTOR_INTERACTIVE": "1", "PYTHONPATH": str(ROOT)}
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
            f"--port={self._port}", "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self._notebook.parent}",
            "--expose-app-in-browser",
        ]  # fmt: skip
        self._server = subprocess.Popen(
            command, env={**os.environ, **own}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._poll(lambda: self._get("status"))
        return self

    def __exit__(self, *error: object) -> None:
        try:  # the kernels first: a server that is killed leaves them behind
            self.end_kernel()
        finally:
            self._server.terminate()
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()

    def open(self, driver: Any, chromium: str, *, scale: float = 1) -> tuple[Any, list[str]]:
        """Open the notebook; the list gets the address of every request that the page makes.

        Args:
            driver: Playwright's.
            chromium: Path of the browser.
            scale: Device pixels per CSS pixel.
        """
        browser = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        size = {"width": 1400, "height": 900}
        page = browser.new_page(viewport=size, device_scale_factor=scale)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        self.visit(page)
        return page, requests

    def visit(self, page: Any) -> None:
        """Go to the notebook, or there again, as after closing and opening it."""
        address = f"http://127.0.0.1:{self._port}/lab/tree/{self._notebook.name}"
        page.goto(f"{address}?token={TOKEN}&reset", timeout=PATIENCE_S * 1000)
        page.wait_for_function("window.jupyterapp !== undefined", timeout=PATIENCE_S * 1000)
        page.evaluate("window.jupyterapp.restored.then(() => true)")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_S * 1000)
        self._poll(self._kernel_is_idle)

    def run_all(self, page: Any) -> None:
        """Start all cells without waiting for the command's promise, which ends with the last."""
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def save(self, page: Any) -> None:
        """Save the notebook with its outputs."""
        page.evaluate("window.jupyterapp.commands.execute('docmanager:save').then(() => true)")

    def end_kernel(self) -> None:
        """End the notebook's kernel, as a crash or a shut-down server does."""
        for kernel in self._get("kernels"):
            address = self._address(f"kernels/{kernel['id']}")
            urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=20)

    def wait_for(self, page: Any, expression: str) -> None:
        """Wait until an expression is true in the kernel, while the page goes on."""
        end = time.monotonic() + PATIENCE_S
        while self.evaluate(expression) != "True":
            assert time.monotonic() < end, f"{expression} never came true"
            page.wait_for_timeout(100)

    def evaluate(self, expression: str) -> str:
        """Return the repr of an expression in the notebook's kernel."""
        kernel = self._get("sessions")[0]["kernel"]["id"]
        client = BlockingKernelClient()
        client.load_connection_file(str(self._folder / f"runtime_dir/kernel-{kernel}.json"))
        client.start_channels()
        try:
            asked = client.execute("", user_expressions={"x": expression}, store_history=False)
            reply = client.get_shell_msg(timeout=PATIENCE_S)
            while reply["parent_header"]["msg_id"] != asked:
                reply = client.get_shell_msg(timeout=PATIENCE_S)
            found = reply["content"]["user_expressions"]["x"]
            return found["data"]["text/plain"] if found["status"] == "ok" else str(found)
        finally:
            client.stop_channels()

    def _kernel_is_idle(self) -> bool:
        sessions = self._get("sessions")
        return bool(sessions) and sessions[0]["kernel"]["execution_state"] == "idle"

    def _address(self, what: str) -> str:
        return f"http://127.0.0.1:{self._port}/api/{what}?token={TOKEN}"

    def _get(self, what: str) -> Any:
        with urllib.request.urlopen(self._address(what), timeout=20) as reply:
            return json.load(reply)

    def _poll(self, ready: Any) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if ready():
                    return
            except OSError:
                pass
            assert time.monotonic() < end, "JupyterLab did not come up"
            time.sleep(0.2)


class Planes:
    """One slice widget of a page: `browse` (".fmtutor-slices") or `annotate` (".fmtutor-clicker").

    Args:
        page: Playwright's page, as `Lab.open` returns it.
        selector: Which widget; the first one that matches.
    """

    AXES: ClassVar = {"axial": (2, 0, 1), "coronal": (1, 0, 2), "sagittal": (0, 1, 2)}
    """Axis that a plane cuts, axes along its width and height."""

    def __init__(self, page: Any, selector: str = ".fmtutor-clicker") -> None:
        self.page, self.root = page, page.locator(selector).first
        self.root.and_(page.locator("[data-ready=true]")).wait_for(timeout=PATIENCE_S * 1000)
        self.shape = tuple(map(int, self.data("shape").split(",")))

    def data(self, name: str) -> str:
        """Return what the widget says about itself: voxel, shape, waiting, answered, repaint-ms."""
        return self.root.get_attribute(f"data-{name}") or ""

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds, while the page goes on."""
        end = time.monotonic() + ANSWER_S
        while not condition():
            assert time.monotonic() < end, f"{what} never happened; {self.status()}"
            self.page.wait_for_timeout(10)

    def canvas(self, plane: str) -> Any:
        """Return a plane's canvas."""
        return self.root.locator(f"canvas[data-plane={plane}]")

    def status(self) -> str:
        """Return the status line."""
        return self.root.locator("[role=status]").inner_text()

    def place(self, plane: str, voxel: Sequence[int]) -> dict[str, float]:
        """Return where the centre of a voxel lies on a canvas, in CSS pixels."""
        _, u, v = self.AXES[plane]
        box = self.canvas(plane).bounding_box()
        sides = ((u, "width"), (v, "height"))
        x, y = ((1 - (voxel[a] + 0.5) / self.shape[a]) * box[side] for a, side in sides)
        return {"x": x, "y": y}

    def scroll_to(self, plane: str, voxel: Sequence[int]) -> None:
        """Turn the wheel over a plane until it shows a voxel's slice."""
        axis = self.AXES[plane][0]
        self.canvas(plane).hover()
        for _ in range(abs(away := voxel[axis] - int(self.data("voxel").split(",")[axis]))):
            self.page.mouse.wheel(0, -100 if away > 0 else 100)
        found = lambda: int(self.data("voxel").split(",")[axis]) == voxel[axis]  # noqa: E731
        self.wait(found, f"slice {voxel[axis]}")

    def click(self, plane: str, voxel: Sequence[int], **how: Any) -> None:
        """Click on a voxel; ``how`` is Playwright's: button, modifiers."""
        self.scroll_to(plane, voxel)
        self.canvas(plane).click(position=self.place(plane, voxel), **how)

    def drag(self, plane: str, start: Sequence[int], end: Sequence[int]) -> None:
        """Drag with the left button from one voxel to another of the same slice."""
        self.scroll_to(plane, start)
        box = self.canvas(plane).bounding_box()
        places = [self.place(plane, voxel) for voxel in (start, end)]
        (x0, y0), (x1, y1) = ((box["x"] + p["x"], box["y"] + p["y"]) for p in places)
        self.page.mouse.move(x0, y0)
        self.page.mouse.down()
        self.page.mouse.move(x1, y1, steps=5)
        self.page.mouse.up()

    def prompt(self, act: Callable[[], Any]) -> float:
        """Do something that is asked of the kernel, wait for the answer.

        Returns:
            Milliseconds from the click to the mask on the screen, as the page measured them; NaN
            where no mask came.
        """
        before = int(self.data("answered") or 0)
        self.root.evaluate("root => { delete root.dataset.repaintMs; }")
        act()
        done = lambda: int(self.data("answered")) > before and self.data("waiting") == "0"  # noqa: E731
        self.wait(done, "an answer")
        self.page.evaluate("new Promise(requestAnimationFrame)")
        return float(self.data("repaint-ms") or "nan")

    def pixel(self, plane: str, voxel: Sequence[int]) -> tuple[int, int, int]:
        """Return the colour of a canvas over a voxel, aside of the cross-hair."""
        at = self.place(plane, voxel)
        red, green, blue = self.canvas(plane).evaluate(
            """(canvas, at) => {
              const scale = canvas.width / canvas.getBoundingClientRect().width;
              const pen = canvas.getContext("2d");
              return [...pen.getImageData(at.x * scale, at.y * scale, 1, 1).data].slice(0, 3);
            }""",
            at,
        )
        return red, green, blue
