"""Sphinx's configuration of the book; `book.build` copies it beside the gathered sources."""

import fmtutor

project = "fmtutor"
author = "the fmtutor authors"
version = release = fmtutor.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "book.docstrings",
    "book.mathml",
]
# Assignments are files to take along, no pages.
exclude_patterns = ["static", "notebooks/assignments"]

# Notebooks are committed executed; the widgets' live parts need a kernel, their pictures do not.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
# No CDN: equations are MathML, which browsers and screen readers know by themselves.
html_math_renderer = "mathml"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
# `name` in a docstring links to what has this name, and is code where nothing has.
default_role = "py:obj"
# An axis of a shape, as in "Q L size size", may be spelled like several attributes.
suppress_warnings = ["ref.python"]
add_module_names = False
# A name that a second module passes on would get a way back to a place that is not there.
viewcode_follow_imported_members = False
# Quoted values in docstrings stay as they are typed.
smartquotes = False
napoleon_numpy_docstring = False
# An indented block is an equation or words; examples with >>> are known to be Python.
highlight_language = "none"
napoleon_custom_sections = [("Taught in", "notes_style"), "Source"]

html_theme = "furo"
html_title = "fmtutor"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
