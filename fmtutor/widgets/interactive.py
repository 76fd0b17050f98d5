"""Live or batch: the one place that decides whether a widget may be shown."""

import os

LIVE_MARKS = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Set in a kernel that a front end started: Jupyter's server, VS Code, Colab."""
BATCH_MARKS = ("CI", "PYTEST_VERSION", "GITHUB_ACTIONS")


def interactive() -> bool:
    """Tell whether somebody sits in front of this notebook.

    ``FMTUTOR_INTERACTIVE`` decides where it is set (`fmtutor run` sets it to 0). Otherwise a
    notebook is live when a front end with sessions started its kernel. A kernel of papermill,
    nbconvert, nbval or CI has none of their marks, nor has a plain Python process.

    Raises:
        ValueError: The variable is set to something other than 0 or 1.
    """
    chosen = os.environ.get("FMTUTOR_INTERACTIVE", "")
    if chosen not in ("", "0", "1"):
        raise ValueError(
            f"FMTUTOR_INTERACTIVE must be 0 or 1, got {chosen!r}; unset it to let fmtutor decide."
        )
    if chosen:
        return chosen == "1"
    if any(os.environ.get(name) for name in BATCH_MARKS):
        return False
    return any(os.environ.get(name) for name in LIVE_MARKS)
