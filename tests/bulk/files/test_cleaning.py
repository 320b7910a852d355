"""What programs put around values, and what stays."""

from __future__ import annotations

from typing import Any

import pytest

from syncro_async.bulk.files.cleaning import Kind, clean


@pytest.mark.parametrize(
    ("written", "kind", "value", "removed"),
    [
        ("'+5511", "phone", "+5511", ("'",)),
        ("'5511'", "phone", "5511", ("'",)),
        ('="5511"', "phone", "5511", ('="…"',)),
        ('"5511"', "phone", "5511", ('"…"',)),
        ("tel:+55-11", "phone", "+55-11", ("tel:",)),
        ("TEL: 'p:+5", "phone", "+5", ("tel:", "'", "p:")),
        ("whatsapp:+55", "phone", "+55", ("whatsapp:",)),
        ("<+55 11>", "phone", "+55 11", ("<…>",)),
        ("5511999990001.0", "phone", "5511999990001", (".0",)),
        ("\u202a+55 11\u202c", "phone", "+55 11", ("invisible character",)),
        ("+55\u00a011", "phone", "+55 11", ("no-break space",)),
        ("<c@e.com>", "email", "c@e.com", ("<…>",)),
        ("Caio P <c@e.com>", "email", "c@e.com", ("<…>",)),
        ("mailto:<a@b.c>", "email", "a@b.c", ("mailto:", "<…>")),
        ("a@b.c\u200b", "email", "a@b.c", ("invisible character",)),
        ("a@b\u200d.c", "email", "a@b.c", ("invisible character",)),
        ("a@b.c, <d@e.f>", "email", "a@b.c, <d@e.f>", ()),
        ("' 1.234,56", "strict", "1.234,56", ("'",)),
        ("Ana\u00a0 Prado\ufeff", "text", "Ana  Prado", ("invisible character", "no-break space")),
        ("a\x00b\nc\td", "text", "ab\nc\td", ("invisible character",)),
        ("'Ana'", "text", "'Ana'", ()),
        ("'s Gravenhage", "text", "'s Gravenhage", ()),
        ("👩\u200d💻 ♥\ufe0f", "text", "👩\u200d💻 ♥\ufe0f", ()),
        ("João", "text", "João", ()),
        ("<b>", "text", "<b>", ()),
        (5.0, "phone", 5.0, ()),
        (None, "text", None, ()),
    ],
)
def test_what_is_no_part_of_a_value_goes(
    written: Any, kind: Kind, value: Any, removed: tuple[str, ...]
) -> None:
    assert clean(written, kind) == (value, removed)
