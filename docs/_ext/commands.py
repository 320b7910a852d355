"""Makes a page for each command from its help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reference import write_if_new

FOLDER = "commands"
WIDTH = 88


def commands() -> Iterator[tuple[str, Any]]:
    """Each command with its words, such as `leads import`."""
    import typer

    from syncro_async.cli.app import app

    def inside(group: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name, command in sorted(group.commands.items()):
            path = f"{words} {name}".strip()
            if hasattr(command, "commands"):
                yield from inside(command, path)
            elif not command.hidden:
                yield path, command

    whole = typer.main.get_command(app)
    yield "", whole
    yield from inside(whole, "")


def _help(words: str, command: Any) -> str:
    name = f"syncro {words}".strip()
    context = command.make_context(name, [], resilient_parsing=True)
    context.terminal_width = context.max_content_width = WIDTH
    context.info_name = name
    return str(context.get_help())


def written(words: str, command: Any) -> str:
    """The page of a command."""
    title = f"``{f'syncro {words}'.strip()}``"
    about = inspect.cleandoc(command.help or "").partition(". ")[0].rstrip(".")
    shown = _help(words, command).replace("\n", "\n   ")
    return f"{title}\n{'=' * len(title)}\n\n{about}.\n\n.. code-block:: text\n\n   {shown}\n"


def _generate(app: Any) -> None:
    folder = Path(app.srcdir, FOLDER)
    for words, command in commands():
        name = words.replace(" ", "-") or "syncro"
        write_if_new(folder / f"{name}.rst", written(words, command))


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before Sphinx looks for pages."""
    app.connect("builder-inited", _generate)
    return {"parallel_read_safe": True}
