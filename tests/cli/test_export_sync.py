from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from syncro_async.cli.session import print_pauses
from syncro_async.events import GateClosed, SlotWaited
from syncro_async.sandbox import FULL_KEY, Sandbox, Trouble
from tests.cli.run_cli import Run, Serve, finish, lines, names, said, start


def a_page(*items: object, total: int, last_page: int = 1) -> dict[str, Any]:
    meta = {"total": total, "per_page": 200, "current_page": 1, "last_page": last_page}
    return {"success": True, "data": items, "meta": {**meta, "has_more": last_page > 1}}


def test_every_lead_is_one_line_of_jsonl(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=450)
    serve(sandbox)
    code, out, err = run("leads", "export", "leads.jsonl")
    assert (code, out, said(err)) == (0, "", ["450 leads written to leads.jsonl"])
    leads = [json.loads(line) for line in lines(folder / "leads.jsonl")]
    assert {lead["id"] for lead in leads} == set(sandbox.leads)
    assert len(leads) == 450
    assert names(folder) == ["leads.jsonl"]


def test_every_lead_is_one_row_of_csv(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=250)
    serve(sandbox)
    assert run("leads", "export", "Leads.CSV").code == 0
    with (folder / "Leads.CSV").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row["id"]) for row in rows} == set(sandbox.leads)
    assert len(rows) == 250
    assert all(row["name"] for row in rows)


def test_a_dash_is_standard_output_in_jsonl_or_as_asked(run: Run, serve: Serve) -> None:
    serve(Sandbox(leads=3))
    code, out, err = run("leads", "export", "-")
    assert (code, said(err)) == (0, ["3 leads written to standard output"])
    assert len([json.loads(line) for line in out.splitlines()]) == 3
    out = run("leads", "export", "-", "--format", "csv").out
    assert len(list(csv.DictReader(io.StringIO(out)))) == 3


def test_the_format_may_differ_from_the_suffix(run: Run, serve: Serve, folder: Path) -> None:
    serve(Sandbox(leads=1))
    assert run("leads", "export", "leads.txt", "--format", "csv").code == 0
    assert lines(folder / "leads.txt")[0].startswith("id,name,")


def test_no_leads_make_an_empty_file(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=2)
    serve(sandbox)
    assert run("leads", "export", "leads.jsonl", "--tag", "nobody has this").code == 0
    assert (folder / "leads.jsonl").read_bytes() == b""


def test_filters_reach_the_api(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=1)
    serve(sandbox)
    options = {
        "--pipeline-id": "1",
        "--stage-id": "2",
        "--assigned-to": "3",
        "--source": "site",
        "--status": "open",
        "--q": "João",
        "--updated-since": "2026-06-30T07:00:00-03:00",
        "--created-from": "2026-01-01",
        "--created-to": "2026-12-31",
        "--page-size": "50",
    }
    words = [word for pair in options.items() for word in pair]
    relations = ("--include", "owner", "--include", "notes")
    code = run("leads", "export", "-", *words, "--tag", "a", "--tag", "b&c", *relations).code
    assert code == 0
    [arrival] = sandbox.arrivals
    sent = parse_qsl(arrival.query)
    assert set(sent) >= {
        ("pipeline_id", "1"),
        ("stage_id", "2"),
        ("assigned_to", "3"),
        ("source", "site"),
        ("status", "open"),
        ("q", "João"),
        ("updated_since", "2026-06-30T10:00:00Z"),
        ("created_from", "2026-01-01"),
        ("created_to", "2026-12-31"),
        ("per_page", "50"),
        ("tags[]", "a"),
        ("tags[]", "b&c"),
        ("include", "owner,notes"),
    }


def test_a_filter_nobody_gave_is_not_sent(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=1)
    serve(sandbox)
    run("leads", "export", "-")
    assert {name for name, _ in parse_qsl(sandbox.arrivals[0].query)} <= {"page", "per_page"}


def test_max_items_ends_the_export_early(run: Run, serve: Serve, folder: Path) -> None:
    serve(Sandbox(leads=450))
    assert run("leads", "export", "leads.jsonl", "--max-items", "201").code == 0
    assert len(lines(folder / "leads.jsonl")) == 201


def test_the_base_url_option_goes_before_the_environment(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(Sandbox(leads=1))
    monkeypatch.setenv("SYNCRO_BASE_URL", "http://127.0.0.1:9/api/v1")
    assert run("leads", "export", "-", "--base-url", url).code == 0


def test_an_export_that_fails_leaves_the_earlier_file_and_says_how_to_go_on(
    run: Run, serve: Serve, folder: Path
) -> None:
    (folder / "leads.jsonl").write_text("earlier", encoding="utf-8")
    sandbox = Sandbox(leads=450)
    sandbox.script(Trouble())
    sandbox.script(Trouble(status=403, body={"message": "Conta\ninativa."}))
    serve(sandbox)
    code, out, err = run("leads", "export", "leads.jsonl", "--force")
    assert (code, out) == (1, "")
    assert said(err) == [
        "syncro: what was read is kept in leads.jsonl.resume; the same command goes on from there",
        "syncro: error: GET /leads → 403: Conta inativa.",
    ]
    assert lines(folder / "leads.jsonl") == ["earlier"]
    assert names(folder) == ["leads.jsonl", "leads.jsonl.resume"]
    before = len(sandbox.arrivals)
    assert run("leads", "export", "leads.jsonl").code == 0
    assert sandbox.arrivals[before].query == "page=2&per_page=200"
    assert len(lines(folder / "leads.jsonl")) == 450
    assert names(folder) == ["leads.jsonl"]


def test_the_receipts_and_plans_of_the_jobs_are_json_when_asked_for(
    run: Run, serve: Serve, folder: Path
) -> None:
    serve(Sandbox(leads=3))
    exported = run("leads", "export", "leads.jsonl", "--json")
    assert (exported.code, json.loads(exported.out)["written"]) == (0, 3)
    synced = run("leads", "sync", "crm.db", "--json")
    assert (synced.code, json.loads(synced.out)["inserted"]) == (0, 3)
    for words in (("export", "more.jsonl"), ("sync", "crm.db")):
        plan = run("leads", *words, "--plan", "--json")
        assert (plan.code, json.loads(plan.out)["requests"]) == (0, 1)


def test_a_failed_export_has_its_receipt_too_and_leads_are_not_mixed_with_it(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(leads=3)
    sandbox.script(unreadable_page())
    serve(sandbox)
    code, out, _ = run("leads", "export", "leads.jsonl", "--json")
    receipt = json.loads(out)
    assert (code, receipt["unreadable"], receipt["complete"]) == (1, 1, False)
    code, out, err = run("leads", "export", "-", "--json")
    assert (code, out) == (2, "")
    assert "--json: name a FILE" in err


def test_no_resume_begins_anew(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=450)
    for status in (None, 403):
        sandbox.script(Trouble(status=status))
    serve(sandbox)
    run("leads", "export", "leads.jsonl")
    before = len(sandbox.arrivals)
    assert run("leads", "export", "leads.jsonl", "--no-resume").code == 0
    assert len(sandbox.arrivals) - before == 6


def test_an_export_refused_at_once_leaves_nothing(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=450)
    sandbox.script(Trouble(status=403, body={"message": "Conta inativa."}))
    serve(sandbox)
    code, _, err = run("leads", "export", "leads.jsonl")
    assert (code, err) == (1, "syncro: error: GET /leads → 403: Conta inativa.\n")
    assert names(folder) == []


def test_a_folder_that_is_not_there_costs_no_request(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=1)
    serve(sandbox)
    code, _, err = run("leads", "export", "missing/leads.csv")
    assert (code, err.count("\n")) == (1, 1)
    assert "missing" in err
    assert sandbox.arrivals == []


def test_a_refused_key_is_shown_nowhere(
    run: Run, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(Sandbox(leads=1))
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_wrong")
    code, out, err = run("--debug", "leads", "export", "-")
    assert (code, out) == (1, "")
    assert "401" in err
    assert "crm_wrong" not in err


BROKEN = '{"id": "none",\r\n "name": "X"}'  # and the number of its page


def unreadable_page(number: int = 1, *, last_page: int = 1) -> Trouble:
    good = ({"id": 2 * number}, {"id": 2 * number + 1})
    answer = a_page(good[0], "HERE", good[1], total=3 * last_page, last_page=last_page)
    answer["meta"] = {**answer["meta"], "current_page": number, "has_more": number < last_page}
    page = json.dumps(answer)
    return Trouble(
        status=200,
        body=page.replace('"HERE"', BROKEN.replace("X", f"X{number}")).encode(),
        headers={"Content-Type": "application/json"},
    )


def test_unreadable_leads_are_set_aside_as_they_came_and_the_run_has_failed(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(leads=3)
    sandbox.script(unreadable_page())
    serve(sandbox)
    code, _, err = run("leads", "export", "leads.jsonl")
    assert code == 1
    first, second = said(err)
    assert first == "2 leads written to leads.jsonl"
    assert "1 lead could not be read; the first: " in second
    assert "leads.jsonl.unreadable.jsonl" in second
    assert [json.loads(line)["id"] for line in lines(folder / "leads.jsonl")] == [2, 3]
    [aside] = lines(folder / "leads.jsonl.unreadable.jsonl")
    assert json.loads(aside) == {"id": "none", "name": "X1"}


def test_fewer_leads_than_the_server_counts_are_written_and_the_run_has_failed(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(leads=3)
    page = a_page({"id": 1}, {"id": 2}, total=3)
    sandbox.script(Trouble(status=200, body=page, times=25))
    serve(sandbox)
    code, _, err = run("leads", "export", "leads.jsonl")
    assert code == 1
    assert "of 3 leads the server counts, 1 at least could not be accounted for" in err
    assert len(lines(folder / "leads.jsonl")) == 2


def test_unreadable_leads_of_several_pages_come_together(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(leads=3)
    for number in (1, 2, 1, 2):
        sandbox.script(unreadable_page(number, last_page=2))
    serve(sandbox)
    code, _, err = run("leads", "export", "leads.csv")
    assert code == 1
    assert "2 leads could not be read" in err
    assert len(lines(folder / "leads.csv.unreadable.jsonl")) == 2


def test_on_standard_output_unreadable_leads_are_only_counted(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=3)
    sandbox.script(unreadable_page())
    serve(sandbox)
    code, out, err = run("leads", "export", "-")
    assert (code, len(out.splitlines())) == (1, 2)
    assert "1 lead could not be read; the first: Expected" in err
    assert err.endswith("; export to a file to keep their JSON\n")


def test_the_next_good_run_leaves_the_old_file_of_unreadable_leads(
    run: Run, serve: Serve, folder: Path
) -> None:
    (folder / "leads.csv.unreadable.jsonl").write_text("old", encoding="utf-8")
    serve(Sandbox(leads=1))
    assert run("leads", "export", "leads.csv").code == 0
    assert lines(folder / "leads.csv.unreadable.jsonl") == ["old"]


def test_a_pause_the_server_asked_for_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_pauses(GateClosed(36.0, at=1.0))
    print_pauses(SlotWaited("GET", "/leads", "bulk", 36.0))
    assert capsys.readouterr().err == "syncro: the server answered 429, the next call is in 36 s\n"


def test_a_reader_that_leaves_early_is_an_end_in_one_line(serve: Serve) -> None:
    serve(Sandbox(leads=1000))
    process = start("leads", "export", "-")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["id"]
    process.stdout.close()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said(err) == ["syncro: error: standard output was closed before the end"]


def test_on_a_terminal_a_bar_shows_how_far_it_is(serve: Serve, folder: Path) -> None:
    serve(Sandbox(leads=450))
    ours, theirs = pty.openpty()
    process = start("leads", "export", "leads.jsonl", stderr=theirs)
    os.close(theirs)
    screen = b""
    # A terminal whose last writer has gone ends with an error instead of an empty read.
    try:
        while chunk := os.read(ours, 65536):
            screen += chunk
    except OSError:
        os.close(ours)
    assert finish(process).code == 0
    assert b"450/450" in screen
    assert b"450 leads written to leads.jsonl" in screen
    assert len(lines(folder / "leads.jsonl")) == 450


class StallingServer(ThreadingHTTPServer):
    """Answers the first page of a list of two, and never the second."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stalling)
        self.stalled = threading.Event()
        self.released = threading.Event()


class _Stalling(BaseHTTPRequestHandler):
    server: StallingServer

    def do_GET(self) -> None:
        if ("page", "2") in parse_qsl(self.path.partition("?")[2]):
            self.server.stalled.set()
            self.server.released.wait(30)
            self.close_connection = True
            return
        items = [{"id": number} for number in range(200)]
        body = json.dumps(a_page(*items, total=400, last_page=2)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A test's stderr is for the command."""


@contextmanager
def stalling() -> Iterator[StallingServer]:
    with StallingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("format_name", ["jsonl", "csv"])
def test_ctrl_c_says_how_to_go_on_and_leaves_no_half_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, format_name: str
) -> None:
    with stalling() as server:
        monkeypatch.setenv("SYNCRO_API_KEY", FULL_KEY)
        monkeypatch.setenv("SYNCRO_BASE_URL", f"http://127.0.0.1:{server.server_port}/api/v1")
        process = start("leads", "export", f"leads.{format_name}")
        assert server.stalled.wait(30)
        process.send_signal(signal.SIGINT)
        kept = f"leads.{format_name}.resume"
        code, out, err = finish(process)
    assert (code, out) == (130, "")
    assert said(err) == [
        f"syncro: what was read is kept in {kept}; the same command goes on from there",
        "syncro: interrupted",
    ]
    assert names(folder) == [kept]


def test_the_plan_is_said_and_nothing_is_written(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=450)
    serve(sandbox)
    code, out, err = run("leads", "export", "leads.csv", "--plan")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"6 requests, 0 s, done at \d{4}-\d\d-\d\d \d\d:\d\d\n", out)
    assert len(sandbox.arrivals) == 1
    assert names(folder) == []


def test_an_unknown_limiter_is_wrong_usage(run: Run, serve: Serve) -> None:
    serve(Sandbox(leads=1))
    code, _, err = run("leads", "export", "-", "--limiter", "nonsense://x")
    assert (code, err.count("\n")) == (2, 1)
    assert "nonsense" in err


def test_a_parquet_file_holds_every_lead(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=250)
    serve(sandbox)
    assert run("leads", "export", "leads.parquet").code == 0
    table = import_module("pyarrow.parquet").read_table(folder / "leads.parquet")
    assert set(table["id"].to_pylist()) == set(sandbox.leads)


# ------------------------------------------------------------------------------------------ proofs


def test_verify_twice_reads_every_page_twice(run: Run, serve: Serve) -> None:
    sandbox = Sandbox(leads=40)
    serve(sandbox)
    words = ("leads", "export", "-", "--page-size", "5")
    assert run(*words).code == 0
    assert len(sandbox.arrivals) == 8 + 3
    sandbox.arrivals.clear()
    assert run(*words, "--verify", "twice").code == 0
    assert len(sandbox.arrivals) == 2 * 8
    assert run(*words, "--plan").out.startswith("11 requests,")
    assert run(*words, "--verify", "twice", "--plan").out.startswith("16 requests,")
    assert run(*words, "--verify", "thrice").code == 2


def test_one_lead_is_counted_in_the_singular(run: Run, serve: Serve, folder: Path) -> None:
    serve(Sandbox(leads=1))
    assert said(run("leads", "export", "leads.csv").err) == ["1 lead written to leads.csv"]
    assert run("leads", "export", "leads.csv", "--plan").out.startswith("1 request, ")
    read = "1 lead read: 1 new, 0 changed, 0 gone"
    assert said(run("leads", "sync", "crm.db").err) == [read]


# -------------------------------------------------------------------------------- files and layouts


def test_a_file_that_no_export_has_made_is_replaced_with_force_only(
    run: Run, serve: Serve, folder: Path
) -> None:
    (folder / "clientes.csv").write_text("Nome;Telefone\n", encoding="utf-8")
    sandbox = Sandbox(leads=3)
    serve(sandbox)
    code, _, err = run("leads", "export", "clientes.csv")
    assert (code, sandbox.arrivals) == (2, [])
    assert "clientes.csv exists and is not a csv export of leads, so it is not replaced" in err
    assert lines(folder / "clientes.csv") == ["Nome;Telefone"]
    assert run("leads", "export", "clientes.csv", "--force").code == 0
    assert run("leads", "export", "clientes.csv").code == 0
    assert len(lines(folder / "clientes.csv")) == 1 + 3


def test_a_csv_for_excel_in_brazil(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(leads=3)
    sandbox.leads[1]["value"] = 1234.5
    serve(sandbox)
    words = ("--delimiter", ";", "--bom", "--decimal", "comma")
    assert run("leads", "export", "leads.csv", *words).code == 0
    assert (folder / "leads.csv").read_bytes().startswith(b"\xef\xbb\xbfid;name;")
    with (folder / "leads.csv").open(encoding="utf-8-sig", newline="") as file:
        assert next(csv.DictReader(file, delimiter=";"))["value"] == "1234,5"
    assert run("leads", "export", "-", "--format", "csv", "--delimiter", "tab").out.startswith(
        "id\tname\t"
    )
    assert run("leads", "export", "leads.jsonl", "--bom").code == 2
    assert run("leads", "export", "leads.csv", "--delimiter", ":").code == 2


def test_an_excel_workbook(run: Run, serve: Serve, folder: Path) -> None:
    serve(Sandbox(leads=3))
    assert run("leads", "export", "leads.xlsx").code == 0
    sheet = import_module("openpyxl").load_workbook(folder / "leads.xlsx").active
    assert [row[0].value for row in sheet.iter_rows()] == ["id", 1, 2, 3]
