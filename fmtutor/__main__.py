"""`python -m fmtutor`, the same as the command `fmtutor`."""

from fmtutor.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
