"""Which existing files an export replaces, and who can read what it writes."""

from __future__ import annotations

import csv
import json
from importlib import import_module
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest

from syncro_async import AsyncClient, Lead
from syncro_async.bulk.files.formats import FORMS
from syncro_async.errors import ConfigurationError, PermissionDeniedError
from syncro_async.sandbox import Trouble
from tests.bulk.exporting.changing_list import ChangingSandbox

REFUSED = Trouble(status=403, body={"message": "Conta inativa."})
BROKEN = {"id": 3, "name": ["no", "name"]}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def a_page(*items: object) -> Trouble:
    meta = {"total": len(items), "per_page": 200, "current_page": 1, "last_page": 1}
    return Trouble(
        status=200, body={"success": True, "data": items, "meta": {**meta, "has_more": False}}
    )


def other_file(file: Path) -> None:
    """Something with rows and columns that no export has made."""
    match file.suffix:
        case ".csv":
            file.write_text("id,name,phone\n1,Ana,+5511999990001\n", encoding="utf-8")
        case ".jsonl":
            file.write_text('{"id": 1, "name": "Ana"}\n', encoding="utf-8")
        case ".xlsx":
            import_module("pandas").DataFrame({"id": [1]}).to_excel(file, engine="openpyxl")
        case _:
            import_module("polars").DataFrame({"id": [1]}).write_parquet(file)


@pytest.mark.parametrize("form", FORMS)
async def test_an_earlier_export_is_replaced_and_any_other_file_is_not(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, form: str
) -> None:
    file = tmp_path / f"leads.{form}"
    for content in (None, b"not of this format\n", b"\xff\xfe\x00\n"):
        other_file(file) if content is None else file.write_bytes(content)
        before = file.read_bytes()
        with pytest.raises(ConfigurationError, match=f"is not a {form} export of leads"):
            await syncro.bulk.export_leads(file)
        assert (file.read_bytes(), sandbox.arrivals) == (before, [])
        assert names(tmp_path) == [file.name]
    assert (await syncro.bulk.export_leads(file, force=True)).complete
    for _ in range(2):
        assert (await syncro.bulk.export_leads(file)).written == 450
    assert names(tmp_path) == [file.name]


@pytest.mark.parametrize(
    "layout", [{"delimiter": ";", "bom": True}, {"delimiter": "\t", "decimal": "comma"}]
)
async def test_an_export_in_another_layout_is_an_export(
    syncro: AsyncClient, tmp_path: Path, layout: dict[str, Any]
) -> None:
    file = tmp_path / "leads.csv"
    await syncro.bulk.export_leads(file, stage_id=5, **layout)
    await syncro.bulk.export_leads(file, stage_id=5)
    with file.open(encoding="utf-8", newline="") as rows:
        assert next(csv.reader(rows)) == list(Lead.__struct_fields__)


async def test_an_empty_file_and_an_export_without_leads_may_be_replaced(
    syncro: AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "leads.jsonl"
    file.touch()
    assert (await syncro.bulk.export_leads(file, q="nobody")).written == 0
    assert (await syncro.bulk.export_leads(file)).written == 450


async def test_an_interrupted_export_with_force_goes_on_without_it(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    file = tmp_path / "leads.jsonl"
    file.write_text("mine", encoding="utf-8")
    for trouble in (Trouble(), REFUSED):
        sandbox.script(trouble)
    with pytest.raises(PermissionDeniedError):
        await syncro.bulk.export_leads(file, force=True)
    assert file.read_text(encoding="utf-8") == "mine"
    assert (await syncro.bulk.export_leads(file)).written == 450


@pytest.mark.parametrize("earlier", [False, True])
async def test_a_file_that_appears_or_changes_meanwhile_is_not_replaced(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, *, earlier: bool
) -> None:
    file = tmp_path / "leads.jsonl"
    if earlier:
        await syncro.bulk.export_leads(file, stage_id=5)
    answered = sandbox.answered

    def change(number: int) -> None:
        if number == answered + 2:
            file.write_text("mine", encoding="utf-8")

    sandbox.change = change
    with pytest.raises(ConfigurationError, match="created or changed while the export was running"):
        await syncro.bulk.export_leads(file)
    assert file.read_text(encoding="utf-8") == "mine"
    file.rename(tmp_path / "mine.txt")
    sandbox.arrivals.clear()
    assert (await syncro.bulk.export_leads(file)).complete
    assert sandbox.arrivals == []  # everything was read already


async def test_a_file_of_unreadable_leads_that_is_there_stays(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path
) -> None:
    mine = tmp_path / "leads.csv.unreadable.jsonl"
    mine.write_text("mine", encoding="utf-8")
    assert (await syncro.bulk.export_leads(tmp_path / "leads.csv")).unreadable_file is None
    for number in (2, 3):
        sandbox.script(a_page({"id": 1}, BROKEN))
        receipt = await syncro.bulk.export_leads(tmp_path / "leads.csv")
        theirs = tmp_path / f"leads.csv.unreadable-{number}.jsonl"
        assert receipt.unreadable_file == str(theirs)
        assert json.loads(theirs.read_text(encoding="utf-8")) == BROKEN
        assert S_IMODE(theirs.stat().st_mode) == 0o600
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("form", FORMS)
async def test_only_the_owner_can_read_what_an_export_writes(
    syncro: AsyncClient, sandbox: ChangingSandbox, tmp_path: Path, form: str
) -> None:
    modes: dict[str, int] = {}

    def change(_: int) -> None:
        modes.update({path.name: S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()})

    sandbox.change = change
    await syncro.bulk.export_leads(tmp_path / f"leads.{form}")
    change(0)
    assert f"leads.{form}.resume" in modes
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(
    ("layout", "form"),
    [
        ({"delimiter": ":"}, "csv"),
        ({"delimiter": ""}, "csv"),
        ({"decimal": "dot"}, "csv"),
        ({"delimiter": ";"}, "jsonl"),
        ({"bom": True}, "xlsx"),
        ({"decimal": "comma"}, "parquet"),
    ],
)
async def test_a_layout_that_cannot_be_costs_no_request(
    syncro: AsyncClient,
    sandbox: ChangingSandbox,
    tmp_path: Path,
    layout: dict[str, Any],
    form: str,
) -> None:
    [argument] = layout
    with pytest.raises(ValueError, match=argument):
        await syncro.bulk.export_leads(tmp_path / f"leads.{form}", **layout)
    assert (sandbox.arrivals, names(tmp_path)) == ([], [])


@pytest.mark.parametrize("form", FORMS)
async def test_every_format_has_every_lead(syncro: AsyncClient, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"leads.{form}"
    await syncro.bulk.export_leads(file)
    pandas = import_module("pandas")
    match form:
        case "jsonl":
            frame = pandas.read_json(file, lines=True)
        case "csv":
            frame = pandas.read_csv(file)
        case "xlsx":
            frame = pandas.read_excel(file, engine="openpyxl")
        case _:
            frame = pandas.read_parquet(file)
    assert frame["id"].tolist() == list(range(1, 451))
