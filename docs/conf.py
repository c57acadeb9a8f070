"""How Sphinx makes a site of the Markdown pages: ``make docs``.

The source folder is the root of the checkout, so that links between pages are the same here and in
the repository. Nothing is fetched, neither now nor when the pages are read.
"""

from importlib.metadata import version as version_of

project = "mcrelu"
author = copyright = "the mcrelu authors"  # noqa: A001 - Sphinx's name
version = release = version_of("mcrelu")

extensions = ["myst_nb"]
root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/README.md", "dashboards/README.md", "*.md"]
exclude_patterns = [
    "README.md",
    "build",
    "results",
    ".*",
    "**/.*",
]  # docs/index.md is the first page

myst_heading_anchors = 4  # as in the repository: links to #a-heading
nb_execution_mode = "off"  # the notebook is committed with what it printed
highlight_language = "text"  # of blocks that say no language

html_theme = "furo"
html_title = f"mcrelu {release}"
html_extra_path = ["site/index.html"]  # which leads to the first page
html_static_path = ["site/style"]
html_css_files = ["own.css"]
html_copy_source = False
html_show_sphinx = False
