"""Takes the pages of a lead list and writes them where they were asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from syncro_async import Budget, Lead, Page, Paginator, UnreadableItem
from syncro_async.cli.endings import WrongUsageError
from syncro_async.cli.formats import FORMATS, Format
from syncro_async.cli.progress import Bar, seconds_left
from syncro_async.cli.whole_file import whole_file

STDOUT = "-"
OnPage = Callable[[Sequence[Lead]], object]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an export goes, and in what form; no path is standard output."""

    path: Path | None
    form: Format

    @property
    def beside(self) -> Path | None:
        """Where the JSON of leads goes that cannot be read; nowhere for standard output."""
        if self.path is None:
            return None
        return self.path.with_name(f"{self.path.name}.unreadable.jsonl")


@dataclass(slots=True)
class Export:
    """An export under way: what it has written so far, and how."""

    form: Format
    out: BinaryIO
    open_beside: Callable[[], BinaryIO | None]
    on_page: OnPage
    written: int = 0
    unreadable: int = 0
    first_reason: str = ""
    expected: int = 0
    _beside: BinaryIO | None = field(default=None, init=False)

    def take(self, page: Page[Lead]) -> None:
        """Write one page, and its unreadable leads to their own file."""
        self.out.write(self.form.page(page.items))
        self.out.flush()
        self.written += len(page.items)
        self.on_page(page.items)
        if page.unreadable:
            self._set_aside(page.unreadable)

    @property
    def seen(self) -> int:
        """How many leads came, readable or not."""
        return self.written + self.unreadable

    def _set_aside(self, items: Sequence[UnreadableItem]) -> None:
        if not self.unreadable:
            self.first_reason = items[0].reason
            self._beside = self.open_beside()
        self.unreadable += len(items)
        if self._beside is not None:
            self._beside.writelines(_one_line(item.raw) + b"\n" for item in items)


def destination(file: str, format_name: str | None) -> Destination:
    """Where FILE and --format send an export.

    Raises `WrongUsageError` for a suffix that names no format, and for a FILE that is there and
    is no file: found now, not when the last page has come.
    """
    if file == STDOUT:
        return Destination(None, FORMATS[format_name or "jsonl"])
    path = Path(file)
    name = format_name or path.suffix.lower().removeprefix(".")
    if name not in FORMATS:
        raise WrongUsageError(f"{file}: FILE must end in .jsonl or .csv, or say which --format")
    if path.exists() and not path.is_file():
        raise WrongUsageError(f"{file}: is there and is no regular file")
    return Destination(path, FORMATS[name])


@contextmanager
def opened(to: Destination, on_page: OnPage = len) -> Iterator[Export]:
    """An export that may be written to while the block runs; files get their names at its good end.

    A run replaces both its files: no unreadable leads, no file of them. Raises `OSError`.
    """
    with ExitStack() as files:

        def open_beside() -> BinaryIO | None:
            return files.enter_context(whole_file(to.beside)) if to.beside else None

        out = files.enter_context(whole_file(to.path)) if to.path else sys.stdout.buffer
        out.write(to.form.top)
        export = Export(to.form, out, open_beside, on_page)
        yield export
    if to.beside and not export.unreadable:
        to.beside.unlink(missing_ok=True)


async def drain(
    leads: Paginator[Lead],
    export: Export,
    bar: Bar,
    budget: Callable[[], Budget],
    *,
    ahead: int,
    at_most: int | None = None,
) -> None:
    """Write every page of the list, fetched up to `ahead` pages before it is written."""
    page_size = 1
    async with leads.prefetch(pages=ahead) as ready:
        async for page in ready.pages():
            export.take(page)
            page_size = max(page_size, len(page.items) + len(page.unreadable))
            total = _smaller(page.meta.total, at_most)
            export.expected = total or 0
            left = max(0, export.expected - export.seen)
            bar.advance(done=export.seen, total=total, left=seconds_left(left, page_size, budget()))


def _smaller(total: int | None, at_most: int | None) -> int | None:
    return min((value for value in (total, at_most) if value is not None), default=None)


def _one_line(raw: bytes) -> bytes:
    # JSON has line breaks between its tokens only; those inside a text are escaped.
    return raw.replace(b"\r", b" ").replace(b"\n", b" ")
