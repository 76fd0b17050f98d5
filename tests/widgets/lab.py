"""A JupyterLab of its own for a browser test: nothing of the machine leaks in, all is ended."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient

TOKEN = "only-for-this-test"
CHROMIUM_FLAGS = ["--no-sandbox", "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--disable-quic"]  # fmt: skip
ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0


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
            for kernel in self._get("kernels"):
                address = self._address(f"kernels/{kernel['id']}")
                urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=20)
        finally:
            self._server.terminate()
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()

    def open(self, driver: Any, chromium: str) -> tuple[Any, list[str]]:
        """Open the notebook; the list gets the address of every request that the page makes."""
        browser = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda socket: requests.append(socket.url))
        address = f"http://127.0.0.1:{self._port}/lab/tree/{self._notebook.name}"
        page.goto(f"{address}?token={TOKEN}&reset", timeout=PATIENCE_S * 1000)
        page.wait_for_function("window.jupyterapp !== undefined", timeout=PATIENCE_S * 1000)
        page.evaluate("window.jupyterapp.restored.then(() => true)")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=PATIENCE_S * 1000)
        self._poll(self._kernel_is_idle)
        return page, requests

    def run_all(self, page: Any) -> None:
        """Start all cells without waiting for the command's promise, which ends with the last."""
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")

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
