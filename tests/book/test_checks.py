"""The checks of the built book find what they are for, on small pages made for it."""

import pytest

from book.checks import Finding, check_site

GOOD = '<a href="b.html#there">b</a><a href="https://example.org">out</a><img src="x.png" alt="A">'


@pytest.fixture
def site(tmp_path):
    """Return a function that writes two pages and returns what is found in the first."""

    def check(body: str, css: str = "") -> list[Finding]:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "a.html").write_text(f"<html><body>{body}</body></html>")
        (folder / "b.html").write_text('<h1 id="there">B</h1>')
        (folder / "a.css").write_text(css)
        return check_site(folder)

    return check


def test_a_sound_page_has_no_finding(site):
    assert site(GOOD, "a { background: url('x.png') }") == []


@pytest.mark.parametrize("link", ["c.html", "b.html#gone", "#gone", "folder/"])
def test_a_link_that_leads_nowhere_is_found(site, link):
    assert site(f'<a href="{link}">x</a>') == [Finding("a.html", "a link leads nowhere", link)]


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://example.org/x.js"></script>',
        '<link rel="stylesheet" href="//example.org/x.css">',
        '<link rel="preconnect" href="https://example.org">',
        '<img src="https://example.org/x.png" alt="A">',
        '<iframe src="https://example.org"></iframe>',
    ],
)
def test_what_a_browser_would_load_from_outside_is_found(site, tag):
    (finding,) = site(tag)
    assert finding.rule == "something is loaded from outside"


@pytest.mark.parametrize(
    "css", ['@import "https://example.org/x.css";', "a { b: url(//example.org/font.woff2) }"]
)
def test_a_style_sheet_that_loads_from_outside_is_found(site, css):
    (finding,) = site("", css)
    assert (finding.page, finding.rule) == ("a.css", "something is loaded from outside")


@pytest.mark.parametrize("tag", ['<img src="x.png">', '<img src="x.png" alt="../_images/x.png">'])
def test_a_picture_without_a_text_is_found(site, tag):
    assert site(tag) == [Finding("a.html", "a picture has no text", "x.png")]
