"""The book as it is built: strict, with equations, and readable without the internet."""

import ast
import doctest
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("index.html", "notebooks/02_partial_labels.html", "tables/index.html", "README.html")


def test_signs_that_mark_nothing_in_a_docstring_are_literal():
    docstrings = pytest.importorskip("book.docstrings", reason="needs the extra `book`")
    assert doctest.testmod(docstrings).failed == 0
    assert docstrings.escaped("**kwargs: as in *args") == r"\*\*kwargs: as in \*args"
    assert docstrings.escaped("*one thing* and **two**") == "*one thing* and **two**"
    assert docstrings.escaped("``|v|`` of `a * b`") == "``|v|`` of `a * b`"


def test_every_module_is_described_in_text_that_the_book_can_read():
    docstrings = pytest.importorskip("book.docstrings", reason="needs the extra `book`")
    broken = docstrings.of_module(["A table.", "", "===  ===", "too wide  x", "===  ==="])
    assert docstrings.problems(broken)
    texts = {
        str(path): ast.get_docstring(ast.parse(path.read_text())) or ""
        for path in (ROOT / "fmtutor").rglob("*.py")
    }
    found = {n: docstrings.problems(docstrings.of_module(t.split("\n"))) for n, t in texts.items()}
    assert {name: against for name, against in found.items() if against} == {}


@pytest.mark.parametrize("tex", [r"\left( x", "a_b_c", r"\nosuchcommand x"])
def test_an_equation_that_cannot_be_read_stops_the_build(tex):
    mathml = pytest.importorskip("book.mathml", reason="needs the extra `book`")
    assert mathml.mathml(r"\tfrac1S\textstyle\sum_i z_i", block=True).startswith("<math")
    with pytest.raises(Exception, match="an equation must be TeX"):
        mathml.mathml(tex, block=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Return the folder of a book without the package's pages; its build is strict."""
    pytest.importorskip("myst_nb", reason="needs the extra `book`: `make book` installs it")
    from book.build import build

    said: list[str] = []
    page = build(tmp_path_factory.mktemp("book"), say=said.append, api=False)
    assert any("figures described" in line for line in said)
    return page.parent


@pytest.mark.slow
def test_every_notebook_has_a_page_with_its_figures_and_equations(site):
    text = (site / "notebooks" / "02_partial_labels.html").read_text()
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML"' in text
    assert 'alt="1 · The conflict, made visible: ' in text
    assert len(list((site / "notebooks").glob("*.html"))) >= 11


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_asks_for_nothing_outside_and_reports_no_error(site, chromium_path):
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for name in PAGES:
            page.goto((site / name).as_uri())
        width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert errors == []
    assert width <= 0
