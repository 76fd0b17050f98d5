"""Do the talk's findings on few-shot adaptation appear in our results?

    python benchmarks/few_shot/findings.py

Reads results/known-quick.json and results/novel-quick.json, which ``fmtutor table NAME --collect``
writes, and writes FINDINGS.md beside this file.
"""

from pathlib import Path

from fmtutor.bench.few_shot_committed import committed
from fmtutor.bench.few_shot_page import findings_page
from fmtutor.core.files import write_text

HERE = Path(__file__).parent
FILES = {"fseft-known": "known-quick.json", "fseft-novel": "novel-quick.json"}


def main() -> None:
    """Write the page."""
    tables = [committed(HERE / "results" / file, table) for table, file in FILES.items()]
    page = HERE / "FINDINGS.md"
    write_text(page, findings_page(tables))
    print(page)


if __name__ == "__main__":
    main()
