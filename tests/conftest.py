"""What all tests share: seeds, a cache folder of their own, and honest skips."""

import contextlib
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def pytest_configure(config: pytest.Config) -> None:
    """One thread a worker: the tests' tensors are small, and xdist has the other cores."""
    if os.environ.get("PYTEST_XDIST_WORKER"):
        torch.set_num_threads(1)
    # Whoever starts the tests in the background makes them deaf to Ctrl-C, and so every process
    # that a test starts in order to stop it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("MPLBACKEND", "agg")
    os.environ.setdefault("TQDM_DISABLE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why. In CI a missing browser is a failure.

    Files that drive Chromium come first: few tests, long and mostly waiting, they would be what the
    other workers wait for in the end.
    """
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)
    no_cuda = pytest.mark.skip(reason="needs a CUDA device, this machine has none")
    no_chromium = pytest.mark.skip(reason="needs Chromium: install Debian's package `chromium`")
    has_chromium = chromium() is not None
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(no_cuda)
        if item.get_closest_marker("browser") and not has_chromium and not in_ci():
            item.add_marker(no_chromium)


def chromium() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def in_ci() -> bool:
    """Whether this is a CI run, where nothing may be skipped for want of a tool."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of Chromium, for tests marked `browser`."""
    path = chromium()
    if path is None:
        pytest.fail("CI must have Chromium: install Debian's package `chromium`")
    return path


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Start each test from the same random state, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    if torch.cuda.is_available():
        torch.manual_seed(0)
    else:  # without a device, torch.manual_seed only notes a stack trace for each kind there is
        torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def cache_folder_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point FMTUTOR_CACHE to a folder of this test run, shared by its workers.

    Samples that the user already has are linked into it, so nothing is fetched again. A folder
    that the variable already names is used as it is.
    """
    from fmtutor.data.samples import samples_folder

    if given := os.environ.get("FMTUTOR_CACHE"):
        yield Path(given)
        return
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "fmtutor-cache"
    folder.mkdir(exist_ok=True)
    if (have := samples_folder()).is_dir():
        with contextlib.suppress(FileExistsError):  # another worker was first
            (folder / "samples").symlink_to(have, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FMTUTOR_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of all real samples: from the cache, fetched where they are missing."""
    from fmtutor.data.samples import fetch_samples, samples_folder

    fetch_samples()
    return samples_folder()
