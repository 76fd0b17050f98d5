"""The scripts are found, and their downloads are tried again without a pause."""

import pytest

from fmtutor.data import downloads
from tests.data_scripts.script_runs import SCRIPTS


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(downloads, "PAUSE_S", 0.001)
    monkeypatch.setattr(downloads, "CHUNK", 512)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
