"""`make book`: the workbook as a static site, built without the internet and read without it.

The notebooks are shown as they are committed and are not executed. Sources are gathered in
``build/book/source``, Sphinx renders them in strict mode (a warning is an error: a link that leads
nowhere, a docstring that is no reStructuredText), and what was written is checked once more.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from book.checks import Finding, check_site
from book.pages import write_pages
from book.sources import copy_documents, copy_notebooks

HERE = Path(__file__).parent
ROOT = HERE.parent
OUT = ROOT / "build" / "book"
CONFIGURATION = ("conf.py", "static")


def build(out: Path, *, say: Callable[[str], None], api: bool = True) -> Path:
    """Build the site.

    Args:
        out: Gets ``source``, ``site`` and Sphinx's memory for a quicker second build.
        say: Told what is going on, in lines.
        api: Whether to write the pages of the package; without them it takes seconds.

    Returns:
        The first page.

    Raises:
        ValueError: Sphinx has found something wrong, or the site would ask for something outside.
    """
    source, site = out / "source", out / "site"
    say("gathering notebooks, tables and modules")
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in CONFIGURATION:
        copy = shutil.copytree if (HERE / name).is_dir() else shutil.copy2
        copy(HERE / name, source / name)
    copied = copy_notebooks(ROOT / "notebooks", source / "notebooks")
    guides = copy_documents(ROOT, source)
    write_pages(source, copied, guides, root=ROOT, api=api)
    say("rendering; the pages of the package take a minute or two")
    if status := _sphinx(source, site, out / "doctrees"):
        raise ValueError(
            f"a book builds without a warning, Sphinx ended with status {status}; mend what it "
            "says above."
        )
    say("checking links, descriptions of figures, and that nothing comes from outside")
    _report(check_site(site), copied.described, say)
    return site / "index.html"


def _sphinx(source: Path, site: Path, memory: Path) -> int:
    """Run Sphinx in strict mode, all warnings shown before it fails."""
    from sphinx.cmd.build import main

    shutil.rmtree(site, ignore_errors=True)
    words = ["-b", "html", "-W", "--keep-going", "-q", "-d", str(memory), str(source), str(site)]
    return main(words)


def _report(findings: list[Finding], described: dict[str, int], say: Callable[[str], None]) -> None:
    """Say how the figures got their texts; raise ValueError for what must not be."""
    total = sum(described.values())
    parts = ", ".join(f"{count} by its {origin}" for origin, count in described.items())
    say(f"{total} figures described: {parts}")
    if findings:
        lines = "\n".join(f"  {finding}" for finding in findings[:40])
        raise ValueError(
            f"links lead somewhere, figures have a text and nothing comes from outside, got "
            f"{len(findings)} that break this:\n{lines}"
        )


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(prog="python -m book.build", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the book (build/book)")
    parser.add_argument("--no-api", action="store_true", help="leave the package's pages out")
    options = parser.parse_args()
    began = time.monotonic()
    try:
        page = build(options.out, say=lambda line: print(line, flush=True), api=not options.no_api)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"the book: {page}  ({time.monotonic() - began:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
