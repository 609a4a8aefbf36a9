"""How the site is built from the Markdown of the checkout: `make docs`."""

from prune_cli import __version__

project = "prune-lm"
author = "the developers of prune-lm"
copyright = author
release = __version__

extensions = ["myst_parser"]
myst_heading_anchors = 3

# The source is the whole checkout, so that a link is the same where the site is read and where the files are.
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**.md",
    "experiments/README.md",
    "experiments/*/README.md",
]

html_theme = "sphinx_book_theme"
html_title = f"prune-lm {release}"
html_copy_source = False
html_additional_pages = {"index": "to_docs.html"}
templates_path = ["templates"]
html_theme_options = {"navbar_persistent": []}  # the search stands in the side bar
