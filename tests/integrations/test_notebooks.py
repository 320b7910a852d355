"""What a notebook shows of leads, lists and the budget, and that ours runs from top to bottom."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient

import syncro_async
from syncro_async import (
    UNSET,
    AsyncClient,
    Budget,
    ConfigurationError,
    Lead,
    NewWebhook,
    Page,
    PageMeta,
)
from syncro_async._internal.html import record_table, rows_table
from syncro_async.models.page import Rows
from syncro_async.sandbox import FULL_KEY, Sandbox, serving
from syncro_async.testing import sandbox_client
from tests.integrations.ipython_session import TRACEBACKS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").rglob("*.ipynb"))


def notebook_of(path: Path) -> Any:
    read: Any = nbformat.read
    return read(path, as_version=4)


class Table(HTMLParser):
    """The texts of a table's cells, row by row, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.caption = ""
        self.rows: list[list[str]] = []
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert [name for name, _ in attrs] in ([], ["style"])
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "caption":
            self.caption += data
        elif self._inside in {"td", "th"}:
            self.rows[-1][-1] += data


def lead_of(**fields: Any) -> Lead:
    return msgspec.convert({"id": 7, **fields}, Lead)


def test_a_lead_is_shown_by_the_fields_that_hold_something() -> None:
    lead = lead_of(
        name="Ana <b>Souza</b>",
        value=1234.5,
        tags=["vip", "novo"],
        birthday=date(1992, 3, 27),
        created_at=datetime(2026, 6, 30, 12, 0, 59, tzinfo=UTC),
        custom_fields={"empresa": "Ana & Cia", "filiais": ["SP", "RJ"], "ativa": True},
        stage={"id": 4, "name": "Proposta"},
        pipeline={"id": 1},
        owner={"id": 3, "name": "Carla"},
        products=[],
        notes="n" * 200,
    )
    table = Table(lead._repr_html_())
    assert table.caption == "Lead"
    assert table.rows == [
        ["id", "7"],
        ["name", "Ana <b>Souza</b>"],
        ["birthday", "1992-03-27"],
        ["value", "1,234.50"],
        ["tags", "vip, novo"],
        ["notes", "n" * 119 + "…"],
        ["stage", "Proposta"],
        ["pipeline", "1"],
        ["created_at", "2026-06-30 12:00+00:00"],
        ["custom_fields", "empresa: Ana & Cia; filiais: (2); ativa: yes"],
        ["owner", "Carla"],
    ]


async def test_what_is_collected_is_a_list_that_is_shown_as_a_table() -> None:
    async with sandbox_client(leads=120) as syncro:
        leads = await syncro.leads.list().collect()
        first = await anext(syncro.leads.list(page_size=2).pages())
        budget = syncro.budget()
    assert isinstance(leads, list)
    assert [type(lead) for lead in leads] == [Lead] * 120
    assert isinstance(leads, Rows)
    table = Table(leads._repr_html_())
    assert table.caption == "120 in all, the first 50 are shown"
    assert table.rows[0][:3] == ["id", "name", "phone"]
    assert "owner" not in table.rows[0]
    assert len(table.rows) == 51
    few = leads[:3]
    assert isinstance(few, Rows)
    assert Table(few._repr_html_()).caption == "3 in all"
    assert leads[-1] is leads[119]
    assert Table(first._repr_html_()).caption == "page 1 of 60, 120 in all"
    assert ["limit", "60"] in Table(budget._repr_html_()).rows
    assert ["used", "2"] in Table(budget._repr_html_()).rows


async def test_lists_that_come_whole_are_shown_as_tables_too() -> None:
    async with sandbox_client() as syncro:
        users = await syncro.users.list()
        pipelines = await syncro.pipelines.list()
    assert isinstance(users, Rows)
    assert Table(users._repr_html_()).rows[0] == ["id", "name", "email", "role"]
    names, first, *_ = Table(pipelines._repr_html_()).rows
    assert names == ["id", "name", "stages"]
    assert first == ["1", "Vendas", "Novo, Proposta, Visita, Negociação, Contrato, Ganho, Perdido"]
    assert Table(pipelines._repr_html_()).caption.startswith("2 pipelines")
    assert "lost reasons" in Table(pipelines._repr_html_()).caption


async def test_what_bulk_jobs_hand_out_is_shown_too(tmp_path: Path) -> None:
    async with sandbox_client(leads=120) as syncro:
        plan = syncro.bulk.plan(600)
        exported = await syncro.bulk.export_leads(tmp_path / "leads.jsonl")
        bad = {"name": "A", "email": "a@b.co", "pipeline_id": 1, "stage_id": 999}
        imported = await syncro.bulk.upsert_leads([bad])
        synced = await syncro.bulk.sync_leads(tmp_path / "leads.db")
    failed = next(row for row in Table(imported._repr_html_()).rows if row[0] == "reasons")
    assert failed[1].endswith(" · 1")
    assert ["requests", "600"] in Table(plan._repr_html_()).rows
    for receipt in (exported, imported, synced):
        table = Table(receipt._repr_html_())
        assert table.caption == type(receipt).__name__
        assert len(table.rows) > 2


def test_a_list_of_nothing_is_a_table_without_rows() -> None:
    assert Table(rows_table([])).rows == []
    assert Table(rows_table([])).caption == "0 in all"
    page: Page[Lead] = Page([], PageMeta(0, 200, 1, 1))
    assert Table(page._repr_html_()).rows == []


def test_maps_and_plain_values_are_shown_too() -> None:
    wide = {"id": 1, "parts": list(range(12)), "deep": {"a": {"b": 1}}, "off": False, "un": UNSET}
    assert Table(rows_table([wide, {"id": 2, "name": None}])).rows == [
        ["id", "parts", "deep", "off"],
        ["1", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2 more", "a: (1)", "no"],
        ["2", "", "", ""],
    ]
    assert Table(rows_table(["vip"])).rows == [["value"], ["vip"]]


def test_half_a_character_is_shown_as_what_can_be_saved() -> None:
    shown = record_table(Lead(id=1, name="a\ud800b"))
    assert ["name", "a?b"] in Table(shown).rows
    assert shown.encode()


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "</td></table>",
            "<!--",
            "<![CDATA[",
            "&lt;",
            "javascript:alert(1)",
        ]
    ),
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_text_of_anybody_becomes_markup(name: str, key: str, caption: str) -> None:
    lead = Lead(id=1, name=name, tags=[name, key], custom_fields={key: name, "more": {key: [name]}})
    for shown in (
        record_table(lead),
        rows_table([lead, {key: name}, name], caption),
        Rows([lead])._repr_html_(),
    ):
        assert Table(shown).tags <= {"table", "caption", "tr", "th", "td"}
        assert shown.count("<") == shown.count(">")


def test_numbers_stand_right_and_numbers_dates_and_names_are_not_wrapped() -> None:
    rows = [
        {"id": 7, "born": date(1992, 3, 27), "name": "Ana", "notes": "n" * 60, "won": True},
        {"id": 8, "born": None, "name": "Bia", "notes": "", "won": False},
    ]
    head = rows_table(rows).partition("</tr>")[0]
    by_name = {name: style for style, name in re.findall(r'style="([^"]*)">(\w+)</th>', head)}
    assert "text-align:right" in by_name["id"]
    for name in ("id", "born", "name", "won"):
        assert "nowrap" in by_name[name]
    assert "nowrap" not in by_name["notes"]


def test_the_budget_has_units_and_the_secret_of_a_webhook_is_hidden() -> None:
    rows = Table(Budget(60, 60.0, 0, 2, 3, 41.53, gate_closed_for=3.0)._repr_html_()).rows
    assert ["window", "60.0 s"] in rows
    assert ["next_free_in", "41.5 s"] in rows
    assert ["gate_closed_for", "3.0 s"] in rows
    shown = NewWebhook(id=3, secret="whsec_hidden")._repr_html_()
    assert "whsec_hidden" not in shown
    assert Table(shown).rows == [["id", "secret"], ["3", "***"]]


def test_every_model_has_a_table() -> None:
    structs = {
        found
        for found in (getattr(syncro_async, name) for name in syncro_async.__all__)
        if isinstance(found, type) and issubclass(found, msgspec.Struct)
    }
    without = {found.__name__ for found in structs if not hasattr(found, "_repr_html_")}
    assert without == {"Succeeded", "Failed", "RawResult"}


async def test_a_list_that_is_awaited_or_looped_over_says_what_to_write() -> None:
    async with sandbox_client(leads=3) as syncro:
        leads: Any = syncro.leads.list()
        with pytest.raises(TypeError, match=r"`await ….collect\(\)`"):
            await leads
        with pytest.raises(TypeError, match="`async for item in …:`"):
            for _ in leads:
                pass


@pytest.fixture(scope="module")
def session() -> Any:
    """What an IPython session showed: see `ipython_session.py`."""
    script = Path(__file__).with_name("ipython_session.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], capture_output=True, check=True, env=environment
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", TRACEBACKS)
def test_a_traceback_is_short_and_shows_the_call_and_the_message(session: Any, name: str) -> None:
    shown = session["tracebacks"][name]
    assert len(shown.splitlines()) <= 25
    assert "----> " in shown
    assert TRACEBACKS[name].splitlines()[-1] in shown
    assert f"{name}: " in shown
    assert "syncro_async/" not in shown
    assert "crm_never_shown" not in shown


def test_without_a_shell_the_traceback_is_short_too() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient("key", max_wait=-1)
    lines = "".join(caught.value._render_traceback_())
    assert "test_notebooks.py" in lines
    assert "settings.py" not in lines
    assert "max_wait=-1 must be" in lines


def test_progress_is_one_display_that_is_updated(session: Any) -> None:
    first, *others = session["displays"]
    assert (first["update"], {other["update"] for other in others}) == (False, {True})
    assert {other["id"] for other in others} == {first["id"]}
    assert "export" not in first["text"]
    assert others[-1]["text"].startswith("checking: 100%|")
    assert [other for other in others if other["text"].endswith("waiting for a test")]
    assert session["stderr"] == ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_kept_without_its_outputs(path: Path) -> None:
    notebook = notebook_of(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_tables(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the kernel's own packages are about to change is no concern of ours.
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    notebook = notebook_of(path)
    with serving(Sandbox(leads=250)) as url:
        settings = {**os.environ, "SYNCRO_API_KEY": FULL_KEY, "SYNCRO_BASE_URL": url}
        NotebookClient(notebook, timeout=40, kernel_name="python3").execute(env=settings)
    shown = [
        output["data"].get("text/html", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    assert len(shown) == 5
    assert all("<table" in html for html in shown)
