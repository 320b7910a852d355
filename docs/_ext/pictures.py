"""Shows the light or the dark picture of a pair, as the reader has chosen.

The Markdown files name both in the way that a code host understands, `<picture>`. Sphinx does not
look into HTML, and the theme has a switch of its own.
"""

from __future__ import annotations

import re
from typing import Any

_PAIR = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">\s*'
    r'<img src="(?P<light>[^"]+)" alt="(?P<alt>[^"]+)"[^>]*>\s*</picture>'
)
_SHOWN = """
:::{{image}} {light}
:alt: {alt}
:class: only-light
:::
:::{{image}} {dark}
:alt: {alt}
:class: only-dark
:::
"""


def paired(text: str) -> str:
    """The text with two images in place of each `<picture>`."""
    return _PAIR.sub(lambda found: _SHOWN.format(**found.groupdict()), text)


def _replace(_app: Any, _page: str, source: list[str]) -> None:
    source[0] = paired(source[0])


def setup(app: Any) -> dict[str, bool]:
    """Replace the pairs when a page is read."""
    app.connect("source-read", _replace)
    return {"parallel_read_safe": True}
