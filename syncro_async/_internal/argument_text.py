"""Texts of errors that name arguments, which other programs may write in words of their own.

A program in Python writes `base_url='x'`; the command writes `--base-url 'x'`. So a text keeps its
arguments as parts, and nobody has to look for them in the finished text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self


class Argument(NamedTuple):
    """An argument that a text names.

    `value` is as Python writes it, None for the name alone. `lead` is the text in front of it that
    is left out together with it, where a program has no such argument.
    """

    name: str
    value: str | None = None
    lead: str = ""

    def __str__(self) -> str:
        written = self.name if self.value is None else f"{self.name}={self.value}"
        return f"{self.lead}{written}"


class ArgumentText(str):
    """The message of an error in the words of Python, with its arguments as parts.

    It is for the constructors of errors. They keep `parts` and a plain `str`, because encoders such
    as msgspec refuse a subclass of it. `parts`: the texts and the arguments, in their order.
    """

    __slots__ = ("parts",)

    parts: tuple[str | Argument, ...]

    def __new__(cls, *parts: str | Argument) -> Self:
        """Join the parts."""
        text = super().__new__(cls, "".join(map(str, parts)))
        text.parts = parts
        return text

    def changed(self, change: Callable[[str], str]) -> Self:
        """The same with the texts and the values of the arguments changed."""
        return type(self)(
            *(
                change(part)
                if isinstance(part, str)
                else part._replace(value=None if part.value is None else change(part.value))
                for part in self.parts
            )
        )
