"""Files whose header names no field of a lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncro_async.errors import BadRowsError
from syncro_async.testing import sandbox_client


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo,bar\n1,2\n", r"foo is no field of a lead \(line 1\)"),
        ("a,b\nname,email\nAna,a@x.y\n", "line 2 looks like the header"),
    ],
)
async def test_they_are_refused_with_the_line_that_looks_like_the_header(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text, encoding="utf-8")
    async with sandbox_client(leads=1) as syncro:
        with pytest.raises(BadRowsError, match=message):
            await syncro.bulk.upsert_leads(file)
