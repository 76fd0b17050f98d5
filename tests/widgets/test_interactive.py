"""Who is in front of the notebook: the variable first, then the marks of front ends."""

import pytest

from fmtutor.widgets.interactive import BATCH_MARKS, LIVE_MARKS, interactive


@pytest.fixture(autouse=True)
def _plain_process(monkeypatch):
    for name in ("FMTUTOR_INTERACTIVE", *BATCH_MARKS, *LIVE_MARKS):
        monkeypatch.delenv(name, raising=False)


def test_a_plain_process_is_batch():
    assert not interactive()


def test_a_kernel_that_a_front_end_started_is_live(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/00_start_here.ipynb")
    assert interactive()


def test_nbval_below_a_live_session_is_batch(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/00_start_here.ipynb")
    monkeypatch.setenv("PYTEST_VERSION", "9.2")
    assert not interactive()


@pytest.mark.parametrize(("value", "live"), [("0", False), ("1", True)])
def test_the_variable_decides(monkeypatch, value, live):
    monkeypatch.setenv("JPY_SESSION_NAME", "x" if not live else "")
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", value)
    assert interactive() is live


def test_another_value_is_refused(monkeypatch):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", "yes")
    with pytest.raises(ValueError, match="must be 0 or 1"):
        interactive()
