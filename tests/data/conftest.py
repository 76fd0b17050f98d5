"""The real samples, for the tests that measure them."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of all real samples: from the cache, fetched where they are missing."""
    from fmtutor.data.samples import fetch_samples, samples_folder

    fetch_samples()
    return samples_folder()
