from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import xlsxwriter

from syncro_async.sandbox import EXPIRED_KEY, Sandbox, Trouble
from tests.cli.run_cli import Run, Serve, finish, lines, names, start


def sheet(folder: Path, count: int, *, stage: int = 4, first: int = 0) -> None:
    content = ["name,email,pipeline_id,stage_id"]
    content += [f"L{n},{n}@example.com,1,{stage}" for n in range(first, first + count)]
    (folder / "rows.csv").write_text("\n".join(content), encoding="utf-8")


def posts(sandbox: Sandbox) -> int:
    return sum(arrival.method == "POST" for arrival in sandbox.arrivals)


def quick(**settings: int | None) -> Sandbox:
    return Sandbox(0, per_minute=10_000, **settings)  # type: ignore[arg-type]


def test_a_file_is_imported_and_leaves_nothing_behind(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 30)
    code, out, err = run("leads", "import", "rows.csv")
    assert (code, out) == (0, "")
    *_, progress, result = err.splitlines()
    assert progress.startswith("import sending: 100%|")
    assert result.startswith(
        "30 rows: 30 created, 0 updated, 0 unchanged, 0 failed, 0 in doubt; 33 requests in "
    )
    assert len(sandbox.leads) == 30
    assert names(folder) == ["rows.csv"]


def test_a_link_to_a_file_has_the_journal_of_the_file(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 3)
    (folder / "link.csv").symlink_to("rows.csv")
    (folder / "rows.csv.journal").write_bytes(b"")
    code, _, err = run("leads", "import", "link.csv", "--create")
    assert (code, sandbox.arrivals) == (2, [])
    assert "rows.csv.journal" in err


def test_columns_are_mapped_left_out_and_filled(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    (folder / "rows.csv").write_text("Nome;a=b;x\nAna;a@example.com;1\n", encoding="utf-8")
    words = ["--column", "Nome=name", "--column", "a=b=email", "--ignore", "x"]
    homes = ["--set", "pipeline_id=1", "--set", "stage_id=4", "--lane", "interactive"]
    code = run("leads", "import", "rows.csv", "--create", *words, *homes).code
    assert code == 0
    (lead,) = sandbox.leads.values()
    assert (lead["name"], lead["email"]) == ("Ana", "a@example.com")
    assert sandbox.writes == [("POST", "/leads")]


@pytest.mark.parametrize(
    "words",
    [
        ["--column", "Nome"],
        ["--column", "=name"],
        ["--set", "stage_id"],
        ["--column", "Nome=colour"],
        ["--limiter", "nowhere://"],
    ],
)
def test_words_that_cannot_be_are_wrong_usage(
    run: Run, serve: Serve, folder: Path, words: list[str]
) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 1)
    assert run("leads", "import", "rows.csv", *words).code == 2
    assert run("leads", "import", "rows.csv", "--plan", *words).code == 2
    assert sandbox.arrivals == []
    assert names(folder) == ["rows.csv"]


def test_bad_rows_are_told_by_their_reason_and_nothing_is_sent(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = quick()
    serve(sandbox)
    bad = "\n".join(f"{n}@example.com,much" for n in range(8))
    (folder / "rows.csv").write_text(f"email,value\n{bad}\n", encoding="utf-8")
    advice = "correct them in their file, or leave them out with --on-bad-row set-aside"
    for words, where in (([], f"; see rows.failed.csv: {advice}"), (["--plan"], "")):
        code, out, err = run("leads", "import", "rows.csv", *words)
        assert (code, out) == (1, "")
        assert err == (
            "8 × value must be a number"
            " (line 2: 'much', 3: 'much', 4: 'much', 5: 'much', 6: 'much' and 3 more)\n"
            f"syncro: error: 8 of 8 rows cannot be imported and nothing was sent{where}\n"
        )
    assert sandbox.arrivals == []
    assert lines(folder / "rows.failed.csv")[:2] == [
        "email,value,syncro_error",
        "0@example.com,much,line 2: value 'much' must be a number",
    ]


def test_a_dry_run_prints_what_would_change(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 2)
    assert run("leads", "import", "rows.csv").code == 0
    (folder / "rows.csv").write_text(
        "name,email,value\nL0,0@example.com,\nL1,1@example.com,5\nL2,2@example.com,\n",
        encoding="utf-8",
    )
    posts = len(sandbox.writes)
    # The rows went side by side: which of them came first is not said.
    number = {lead["email"]: number for number, lead in sandbox.leads.items()}
    changed = number["1@example.com"]
    ran = run("leads", "import", "rows.csv", "--dry-run")
    needs = "a new one needs pipeline_id, stage_id (line 4): add columns for them, or say"
    assert ran.code == 1
    assert f"{needs} what all new leads get with --set FIELD=VALUE\n" in ran.err
    home = ("--set", "pipeline_id=1", "--set", "stage_id=4")
    code, out, err = run("leads", "import", "rows.csv", "--dry-run", *home)
    assert code == 0
    assert out == (
        f"line 3: update lead {changed}: value 5\n"
        "line 4: create: pipeline_id 1, stage_id 4, name 'L2', email '2@example.com'\n"
    )
    assert "3 rows: 1 would be created, 1 would be updated, 1 unchanged" in err
    assert len(sandbox.writes) == posts
    assert run("leads", "import", "rows.csv", "--diff", *home).code == 0
    assert sandbox.leads[changed]["value"] == 5
    (folder / "rows.csv").write_text("name,email\nOther,0@example.com\n", encoding="utf-8")
    assert run("leads", "import", "rows.csv", "--dry-run").out == (
        f"line 2: update lead {number['0@example.com']}: name 'L0' → 'Other'\n"
    )


def test_a_plan_says_how_long_it_takes_and_sends_nothing(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 3661)
    code, out, err = run("leads", "import", "rows.csv", "--plan")
    assert (code, err) == (0, "")
    assert out.startswith("3664 requests at most, 1 h 1 min ")
    sheet(folder, 3)
    assert run("leads", "import", "rows.csv", "--plan").out.startswith("6 requests at most, 0 s, ")
    assert sandbox.writes == []
    assert names(folder) == ["rows.csv"]


def test_what_fails_is_kept_in_a_file_to_be_mended(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 3)
    with (folder / "rows.csv").open("a", encoding="utf-8") as file:
        file.write("\nBad,bad@example.com,1,99\n")
    code, _, err = run("leads", "import", "rows.csv")
    assert code == 1
    assert "1 × ValidationError: stage_id: The selected stage id is invalid. (line 5)" in err
    assert "1 row failed; see rows.failed.csv: correct this file and import it" in err
    assert names(folder) == ["rows.csv", "rows.failed.csv"]
    failed = folder / "rows.failed.csv"
    failed.write_text(failed.read_text(encoding="utf-8").replace(",99,", ",4,"), encoding="utf-8")
    assert run("leads", "import", "rows.failed.csv").code == 0
    assert len(sandbox.leads) == 4


def test_an_import_that_stopped_is_gone_on_with_or_forgotten(
    run: Run, serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 30)
    sandbox.script(Trouble(times=7, method="POST"))
    sandbox.script(Trouble(status=401, method="POST", times=25))
    code, _, err = run("leads", "import", "rows.csv")
    assert code == 1
    assert "continue with: syncro leads import rows.csv --resume" in err
    assert "the import stopped" in err
    done = len(sandbox.leads)
    assert done == 7
    assert "rows.csv.journal" in names(folder)
    code, _, err = run("leads", "import", "rows.csv")
    assert code == 2
    assert "--resume continues it, --no-resume discards its journal and starts again" in err
    with monkeypatch.context() as other:
        other.setenv("SYNCRO_API_KEY", EXPIRED_KEY)
        assert run("leads", "import", "rows.csv", "--resume", "--canary", "0").code == 1
    plan = run("leads", "import", "rows.csv", "--plan").out
    assert plan.startswith("23 requests at most")


@pytest.mark.parametrize(("word", "sent"), [("--resume", 6), ("--no-resume", 6)])
def test_resuming_and_starting_again_send_what_is_left(
    run: Run, serve: Serve, folder: Path, word: str, sent: int
) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 10)
    sandbox.script(Trouble(times=4, method="POST"))
    sandbox.script(Trouble(status=401, method="POST"))
    words = ["leads", "import", "rows.csv", "--journal", "j"]
    assert run(*words, "--canary", "5").code == 1
    before = posts(sandbox)
    assert run(*words, word).code == 0
    assert posts(sandbox) - before == sent
    assert names(folder) == ["rows.csv"]


def test_forgetting_removes_no_file_but_a_journal(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 2)
    words = ["leads", "import", "rows.csv", "--no-resume", "--journal"]
    code, _, err = run(*words, "rows.csv")
    assert code == 2
    assert "rows.csv is in use, or is not a journal: file is not a database" in err
    with closing(sqlite3.connect("crm.db")) as theirs:
        theirs.execute("CREATE TABLE leads (id)")
    code, _, err = run(*words, "crm.db")
    assert code == 2
    assert "crm.db is not a journal of an import" in err
    assert (names(folder), sandbox.arrivals) == (["crm.db", "rows.csv"], [])


def test_a_run_under_way_is_not_forgotten(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(0)
    serve(sandbox)
    sheet(folder, 2)
    sandbox.script(Trouble(delay=1.5, method="POST", times=2))
    process = start("leads", "import", "rows.csv")
    while len(sandbox.leads) < 2 and process.poll() is None:
        pass
    code, _, err = run("leads", "import", "rows.csv", "--no-resume")
    assert code == 2
    assert "rows.csv.journal is in use" in err
    assert finish(process).code == 0
    assert posts(sandbox) == 2


def test_rows_in_doubt_are_told_and_kept(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 2)
    sandbox.script(Trouble(method="GET", times=3))
    sandbox.script(Trouble(lose_answer=True, method="POST"))
    sandbox.script(Trouble(status=404, method="GET"))
    words = ["leads", "import", "rows.csv", "--create", "--server-time-limit", "0"]
    code, _, err = run(*words)
    assert code == 1
    assert "line 2: its answer was lost, and the leads created since cannot be read" in err
    assert "1 row in doubt: the answers were lost, and what the server shows" in err
    assert "rows.csv.journal" in names(folder)
    assert run(*words, "--resume").code == 0
    assert len(sandbox.leads) == 2


def test_ctrl_c_leaves_what_resume_needs_and_says_so(serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(0, per_minute=10_000)
    serve(sandbox)
    sheet(folder, 100)
    process = start("leads", "import", "rows.csv")
    # Its own budget holds it up after sixty, three of which are reads.
    while len(sandbox.leads) < 57 and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "of 100 rows; continue with: syncro leads import rows.csv --resume" in err
    assert err.endswith("syncro: interrupted\n")
    assert "rows.csv.journal" in names(folder)


def test_ctrl_c_while_the_leads_are_compared_counts_no_rows(serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(600)
    serve(sandbox)
    sheet(folder, 2)
    sandbox.script(Trouble(method="GET"))
    sandbox.script(Trouble(delay=1.5, method="GET", times=9))
    process = start("leads", "import", "rows.csv", "--diff")
    while len(sandbox.arrivals) < 2 and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "done: " not in err
    assert "continue with: syncro leads import rows.csv --resume" in err


def test_ctrl_c_before_any_answer_says_how_to_go_on(serve: Serve, folder: Path) -> None:
    sandbox = Sandbox(0)
    serve(sandbox)
    sheet(folder, 2)
    sandbox.script(Trouble(delay=1.5, method="POST", times=2))
    process = start("leads", "import", "rows.csv")
    while len(sandbox.leads) < 2 and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    again = "continue with: syncro leads import rows.csv --resume and the same options as before"
    assert code == 130
    assert err.endswith(f"{again}\nsyncro: interrupted\n")


def test_ctrl_c_before_the_rows_are_in_the_journal_has_nothing_to_go_on_with(
    serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(0)
    serve(sandbox)
    (folder / "rows.csv").write_text("email,custom_fields.fax\na@b.c,1\n", encoding="utf-8")
    sandbox.script(Trouble(delay=1.5, method="GET"))
    process = start("leads", "import", "rows.csv")
    while not sandbox.arrivals and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert (code, err) == (130, "syncro: interrupted\n")
    assert names(folder) == ["rows.csv"]


def test_a_terminal_gets_a_bar(serve: Serve, folder: Path) -> None:
    serve(quick())
    sheet(folder, 30)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        process = start("leads", "import", "rows.csv", "--diff", stderr=terminal)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other side has gone
            break
    os.close(ours)
    assert finish(process).code == 0
    assert b"sending" in shown
    assert b"30/30" in shown


def test_jsonl_goes_in_as_well(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    row = {"name": "Ana", "email": "a@example.com", "pipeline_id": 1, "stage_id": 4}
    (folder / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert run("leads", "import", "rows.jsonl", "--match-by", "email").code == 0
    assert len(sandbox.leads) == 1


def test_a_file_that_is_not_there_fails(run: Run, serve: Serve) -> None:
    serve(quick())
    code, _, err = run("leads", "import", "rows.csv")
    assert (code, err) == (1, "syncro: error: rows.csv: No such file or directory\n")


def test_an_import_is_taken_back_by_its_report(run: Run, serve: Serve, folder: Path) -> None:
    sandbox = quick()
    serve(sandbox)
    sheet(folder, 2)
    assert run("leads", "import", "rows.csv", "--report", "r.jsonl").code == 0
    code, out, err = run("leads", "undo", "r.jsonl", "--dry-run")
    assert (code, out) == (0, "line 2: deleted lead 1:\nline 3: deleted lead 2:\n")
    assert err == "2 leads would be deleted, 0 would be restored, 0 kept, 0 gone; 1 request\n"
    assert len(sandbox.leads) == 2
    assert run("leads", "undo", "r.jsonl").code == 0
    assert sandbox.leads == {}
    code, _, err = run("leads", "undo", "rows.csv")
    assert code == 2
    assert "report must be a file that ends in .jsonl, not rows.csv" in err


def test_the_summary_is_json_when_asked_for_also_of_an_import_that_stopped(
    run: Run, serve: Serve, folder: Path
) -> None:
    sandbox = Sandbox(leads=0)
    serve(sandbox)
    (folder / "new.csv").write_text("name,email\nAna,ana@example.com\n", encoding="utf-8")
    place = ("--set", "pipeline_id=1", "--set", "stage_id=4")
    code, out, _ = run("leads", "import", "new.csv", *place, "--json")
    assert (code, json.loads(out)["created"]) == (0, 1)
    code, out, _ = run("leads", "import", "new.csv", *place, "--diff", "--dry-run", "--json")
    assert (code, json.loads(out)["unchanged"]) == (0, 1)
    sandbox.script(Trouble(status=403, times=3))
    code, out, _ = run("leads", "import", "new.csv", *place, "--json")
    assert (code, json.loads(out)["created"]) == (1, 0)


def test_the_sheet_that_is_read_is_named_and_those_that_are_not(
    run: Run, serve: Serve, folder: Path
) -> None:
    serve(quick())
    with xlsxwriter.Workbook(folder / "rows.xlsx") as book:
        for name, value in (("Listas", "x"), ("Clientes", "a@x.y"), ("Antigos", "b@x.y")):
            sheet = book.add_worksheet(name)
            sheet.write_column(0, 0, ["email", value])
            sheet.write_column(0, 1, ["name", "Ana"])
        book.get_worksheet_by_name("Listas").hide()
        book.get_worksheet_by_name("Clientes").activate()
    home = ("--set", "pipeline_id=1", "--set", "stage_id=4")
    code, out, err = run("leads", "import", "rows.xlsx", "--dry-run", *home)
    assert (code, "email 'a@x.y'" in out, out.count("\n")) == (0, True, 1)
    assert "rows.xlsx: sheet 'Clientes'; not read: 'Antigos'\n" in err
