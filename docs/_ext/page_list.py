"""Writes `llms.txt`, the list of the pages, and `llms-full.txt`, all of them as plain text.

Both are made from what Sphinx has read, so they say what the site says (https://llmstxt.org).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.builders.text import TextBuilder
from sphinx.writers.text import TextTranslator

LONGEST = 160


def pages(env: Any, name: str = "index") -> Iterator[str]:
    """The names of the pages in the order of the contents."""
    yield name
    for page in env.toctree_includes.get(name, ()):
        yield from pages(env, page)


def summary(page: nodes.document) -> str:
    """The first sentence of a page, or a part of it."""
    for paragraph in page.findall(nodes.paragraph):
        first = " ".join(paragraph.astext().split()).partition(". ")[0].rstrip(".:")
        return first if len(first) <= LONGEST else f"{first[:LONGEST].rpartition(' ')[0]} …"
    return ""


def _list(app: Any) -> str:
    opening = summary(app.env.get_doctree("index"))
    lines = [f"# {app.config.project}", "", f"> {opening}.", "", "## Pages", ""]
    for name in list(pages(app.env))[1:]:
        title = app.env.titles[name].astext()
        said = summary(app.env.get_doctree(name))
        lines.append(f"- [{title}]({name}.html)" + (f": {said}" if said else ""))
    return "\n".join([*lines, ""])


def _texts(app: Any) -> Iterator[str]:
    app.tags.add("text")
    builder = TextBuilder(app, app.env)
    builder.init()
    for name in pages(app.env):
        page = app.env.get_and_resolve_doctree(name, builder, tags=app.tags)
        for entry in [*page.findall(nodes.image), *page.findall(nodes.raw)]:
            entry.parent.remove(entry)
        translator = TextTranslator(page, builder)
        page.walkabout(translator)
        yield f"<!-- {name} -->\n\n{translator.body.strip()}\n"


def _write(app: Any, failure: Exception | None) -> None:
    if failure is None and app.builder.format == "html":
        Path(app.outdir, "llms.txt").write_text(_list(app), encoding="utf-8")
        Path(app.outdir, "llms-full.txt").write_text("\n\n".join(_texts(app)), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Write both when all pages are there."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}
