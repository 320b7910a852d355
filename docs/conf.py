"""The settings of the documentation site: `nox -s docs`, or `sphinx-build -W docs build/docs`.

The pages are the Markdown files of this folder. The reference is made from the docstrings, and the
pages about the command from its help, whenever the site is built (`_ext/`). A build reads nothing
from the network.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from syncro_async.version import __version__  # noqa: E402 - it is found by the path above

project = "syncro_async"
author = "the syncro_async contributors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    *("docstrings", "reference", "commands", "pictures", "page_list"),
]
exclude_patterns = ["_ext"]
nitpicky = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
highlight_language = "python"

# A name between backticks is a link where the reference has it, and code anywhere.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"syncro_async {release}"
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1a6b4f", "color-brand-content": "#1a6b4f"},
    "dark_css_variables": {"color-brand-primary": "#4cc38f", "color-brand-content": "#4cc38f"},
}
