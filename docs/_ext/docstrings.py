"""Makes reST of the docstrings, which are written as one reads them in an editor.

In them `name` is code, an indented block after an empty line is an example, and a list may follow a
sentence directly. In reST each of these needs other marks.
"""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?")
_DRAWN = re.compile("[─│└├]")
_ITEM = re.compile(r"\s*(?:-|\d+\.) ")
_SPECIAL = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")


def to_rest(lines: list[str]) -> list[str]:
    """The lines of a docstring as lines of reST."""
    made: list[str] = []
    prose: list[str] = []
    block: list[str] = []
    for line in [*lines, ""]:
        begins = line.startswith("    ") and (bool(block) or not prose or not prose[-1].strip())
        if begins or (block and not line.strip()):
            block.append(line)
            continue
        if block:
            made += [*_text(prose), *_example(block)]
            prose, block = [], []
        prose.append(line)
    return [*made, *_text(prose), *(_example(block) if any(block) else ())]


def _example(block: list[str]) -> list[str]:
    language = "text" if any(_DRAWN.search(line) for line in block) else "python"
    return ["", f".. code-block:: {language}", "", *block, ""]


def _text(prose: list[str]) -> list[str]:
    spaced: list[str] = []
    for line in prose:
        above = spaced[-1] if spaced else ""
        follows_item = bool(_ITEM.match(above)) or above.startswith("  ")
        if _ITEM.match(line) and above.strip() and not follows_item:
            spaced.append("")
        spaced.append(line)
    # A name may be broken over two lines.
    parts = re.split(r"(``.+?``|(?<!`)`[^`]+`(?!`))", "\n".join(spaced), flags=re.DOTALL)
    return "".join(_part(part) for part in parts).split("\n")


def _part(part: str) -> str:
    if part.startswith("``"):
        return part
    code = _CODE.fullmatch(part)
    if code is None:
        return _SPECIAL.sub(r"\\\1", part)
    shown = " ".join(code[1].split())
    breaks = "\n" + re.findall(r"\n( *)", part)[-1] if "\n" in part else ""
    if _NAME.fullmatch(shown):
        return rf"\ :py:obj:`{shown}`\ {breaks}"
    return rf"\ ``{shown}``\ {breaks}"


def _convert(*arguments: Any) -> None:
    lines: list[str] = arguments[-1]
    lines[:] = to_rest(lines)


def setup(app: Any) -> dict[str, bool]:
    """Convert each docstring before it is read."""
    app.connect("autodoc-process-docstring", _convert)
    return {"parallel_read_safe": True}
