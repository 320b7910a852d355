"""Files as people have them, through the command: what reaches the server, and what is refused."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest

from syncro_async.cli.output import counted
from syncro_async.sandbox import Sandbox
from tests.bulk.files.read_rows import file_rows
from tests.cli.run_cli import Ran, Run, Serve, names

CASES = Path(__file__).parent / "import_cases"
HOME = ("--set", "pipeline_id=1", "--set", "stage_id=4")

FACEBOOK = '--column "full_name=name" --column "phone_number=phone"'
GOOGLE = (
    '--column "First Name+Last Name=name" --column "E-mail 1 - Value=email"'
    ' --column "Phone 1 - Value=phone"'
)
# The sandbox has other custom fields: these stand for a date and a checkbox.
CUSTOM = (
    '--column "custom_fields.nascimento=custom_fields.data_retorno"'
    ' --column "custom_fields.cliente=custom_fields.aceita_contato"'
)

Import = Callable[[str, str], Ran]


@pytest.fixture
def sandbox(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("SYNCRO_RATE_LIMIT", "10000/60")
    monkeypatch.delenv("SYNCRO_LOCALE", raising=False)
    made = Sandbox(0, per_minute=10_000)
    serve(made)
    return made


@pytest.fixture
def imported(run: Run, folder: Path) -> Import:
    """Import one of the files with these options."""

    def imported(name: str, options: str) -> Ran:
        if not (folder / name).exists():
            shutil.copy(CASES / name, folder)
        return run("leads", "import", name, *HOME, *shlex.split(options))

    return imported


def held(sandbox: Sandbox, *fields: str) -> list[tuple[Any, ...]]:
    """These fields of all leads, sorted."""
    leads = [tuple(lead[field] for field in fields) for lead in sandbox.leads.values()]
    return sorted(leads, key=str)


@pytest.mark.parametrize(
    ("name", "options", "fields", "leads"),
    [
        (
            "excel_br.csv",
            "--locale pt-BR",
            ("name", "email", "phone", "value"),
            [
                ("Conceição Núñez", "conceicao@exemplo.com.br", "+5511999990002", 2500.0),
                ("João Araújo", "joao@exemplo.com.br", "+5511999990001", 1234.56),
            ],
        ),
        (
            "facebook_lead_ads.csv",
            f"--locale pt-BR {FACEBOOK} --ignore-others",
            ("name", "email", "phone"),
            [("Ana Prado", "ana@exemplo.com", "+5511999990003")],
        ),
        ("sep_line.csv", "", ("name", "email"), [("Ana Prado", "ana@exemplo.com")]),
        (
            "title_and_blank_rows.csv",
            "--header-row 3",
            ("name", "email"),
            [("Ana Prado", "ana@exemplo.com"), ("Beto Lima", "beto@exemplo.com")],
        ),
        (
            "comma_in_header.csv",
            "--ignore-others",
            ("name", "email"),
            [("Ana Prado", "ana@exemplo.com")],
        ),
        ("header_twice.csv", "--ignore phone", ("name", "phone"), [("Ana Prado", None)]),
        (
            "one_phone_three_ways.csv",
            "--locale pt-BR",
            ("name", "phone"),
            [("Ana Prado", "+5511999990001")],
        ),
        (
            "invisible.csv",
            "",
            ("name", "email"),
            [(who, f"{who.lower()}@exemplo.com") for who in ("Ana", "Beto", "Caio", "Dora")],
        ),
        (
            "names_in_two_columns.csv",
            f"{GOOGLE} --ignore-others",
            ("name", "email", "phone"),
            [
                ("Ana Prado", "ana@exemplo.com", "+5511999990001"),
                ("Beto", None, "+5511999990002"),
            ],
        ),
        (
            "dates_and_booleans.csv",
            f"--locale pt-BR {CUSTOM}",
            ("name", "custom_fields"),
            [
                ("Ana", {"data_retorno": "1990-11-30", "aceita_contato": True}),
                ("Beto", {"data_retorno": "1990-11-30", "aceita_contato": True}),
                ("Caio", {"data_retorno": "1990-11-30", "aceita_contato": False}),
            ],
        ),
        ("tags_quoted.csv", "", ("name", "tags"), [(w, ["vip", "novo"]) for w in ("Ana", "Beto")]),
        (
            "text_wrapped.csv",
            '--column "custom_fields.cpf=custom_fields.segmento"',
            ("name", "custom_fields"),
            [("Ana", {"segmento": "01234567890"}), ("Beto", {"segmento": "012345678-90"})],
        ),
    ],
)
def test_each_file_arrives_right(  # noqa: PLR0917  # the fixtures and the table
    sandbox: Sandbox,
    imported: Import,
    folder: Path,
    name: str,
    options: str,
    fields: tuple[str, ...],
    leads: list[tuple[Any, ...]],
) -> None:
    before = imported(name, f"{options} --dry-run")
    assert before.code == 0
    assert sandbox.writes == []
    assert f"{len(leads)} would be created" in before.err
    ran = imported(name, options)
    assert (ran.code, held(sandbox, *fields)) == (0, leads)
    assert f"{len(leads)} created" in ran.err
    assert names(folder) == [name]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("excel_br.csv", "--locale pt-BR", ["Windows-1252", "João Araújo", "--encoding"]),
        ("facebook_lead_ads.csv", "--locale pt-BR --ignore-others", ["UTF-16", "1 × p:"]),
        (
            "invisible.csv",
            "",
            ["2 × invisible character", "1 × <…>", "1 × mailto:"],
        ),
        ("phones.csv", "--locale pt-BR --on-bad-row set-aside", ["1 × .0", '1 × ="…"', "1 × tel:"]),
    ],
)
def test_what_was_read_and_cleaned_is_told(
    sandbox: Sandbox, imported: Import, name: str, options: str, says: list[str]
) -> None:
    assert [word for word in says if word not in imported(name, options).err] == []


def test_a_dry_run_prints_first_what_becomes_of_each_column(
    sandbox: Sandbox, imported: Import, folder: Path
) -> None:
    content = "id,Nome,E-mail,created_at,cor,First,Last\n,Ana,ana@exemplo.com,,azul,,\n"
    (folder / "rows.csv").write_text(content, encoding="utf-8")
    ran = imported("rows.csv", '--dry-run --ignore cor --column "First+Last=notes"')
    assert ran.err.splitlines()[:6] == [
        "column 'id': the lead's id",
        "column 'Nome': name",
        "column 'E-mail': email",
        "column 'created_at': read-only",
        "column 'cor': ignored",
        "column 'First+Last': notes",
    ]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "title_and_blank_rows.csv",
            "",
            ["line 3 looks like the header", "give the line with --header-row 3"],
        ),
        (
            "header_twice.csv",
            "",
            ["phone (2) has the name of a column before it", '--ignore "phone (2)"'],
        ),
        (
            "two_people_one_phone.csv",
            "",
            ["line 2: 'Ana Souza'", "line 3: 'Bruno Lima'", "the phone of line 2, and another"],
        ),
        (
            "several_emails.csv",
            "",
            ["'ana@exemplo.com ::: ana@trabalho.exemplo'", "--on-bad-row set-aside"],
        ),
        (
            "some_bad_rows.csv",
            "",
            ["10 × email is no email address", "'sem email'", "some_bad_rows.failed.csv"],
        ),
        ("excel_br.csv", "", ["'(11) 99999-0001'", "--locale pt-BR"]),
        (
            "comma_in_header.csv",
            "",
            [
                "Interesse (CRM, site, loja) is no field of a lead",
                '--column "Interesse (CRM, site, loja)=FIELD"',
                "--ignore-others",
            ],
        ),
        ("footer.csv", "", ["has 1 cell, and the header has 2", "line 4"]),
    ],
)
def test_each_file_that_is_refused_says_how_to_go_on(
    sandbox: Sandbox, imported: Import, name: str, options: str, says: list[str]
) -> None:
    ran = imported(name, options)
    assert (ran.code, sandbox.arrivals) == (1, [])
    assert [word for word in says if word not in ran.err] == []
    assert "nothing was sent" in ran.err


@pytest.mark.parametrize(
    ("name", "options", "leads", "aside"),
    [
        ("footer.csv", "", ["Ana Prado"], ["line 4: the row 'Generated by: Sales report' has 1"]),
        (
            "phones.csv",
            "--locale pt-BR",
            ["Ana", "Caio", "Dora", "Eva", "Fabio"],
            [
                "line 3: phone '5,51199E+12'",
                "line 8: phone '01/01/2026'",
                "line 9: phone '(11) 3333-4444 / 99999-0008'",
                "line 10: phone '5511999990001555119999900'",
            ],
        ),
        ("several_emails.csv", "", [], ["line 2: email 'ana@exem", "line 3: email 'beto@exem"]),
        (
            "two_people_one_phone.csv",
            "",
            [],
            ["line 2: the row 'Ana Souza'", "line 3: the row 'Bruno Lima'"],
        ),
    ],
)
def test_bad_rows_are_set_aside_where_it_is_asked_for(  # noqa: PLR0917  # as above
    sandbox: Sandbox,
    imported: Import,
    folder: Path,
    name: str,
    options: str,
    leads: list[str],
    aside: list[str],
) -> None:
    ran = imported(name, f"{options} --on-bad-row set-aside")
    assert ran.code == 1
    assert [who for (who,) in held(sandbox, "name")] == leads
    failures = folder / name.replace(".csv", ".failed.csv")
    assert f"{counted(len(aside), 'row')} set aside; see {failures.name}" in ran.err
    found = [row.columns["syncro_error"] for row in file_rows(failures)]
    assert [text[: len(start)] for text, start in zip(found, aside, strict=True)] == aside
    assert S_IMODE(failures.stat().st_mode) == 0o600
    assert names(folder) == sorted([name, failures.name])


def test_phones_are_sent_in_e164(sandbox: Sandbox, imported: Import) -> None:
    imported("phones.csv", "--locale pt-BR --on-bad-row set-aside")
    numbers = (1, 3, 4, 5, 6)
    assert [phone for _, phone in held(sandbox, "name", "phone")] == [
        f"+551199999000{number}" for number in numbers
    ]


def test_all_bad_rows_are_in_the_file_and_then_the_good_ones_go(
    sandbox: Sandbox, imported: Import, folder: Path
) -> None:
    assert imported("some_bad_rows.csv", "").code == 1
    failures = folder / "some_bad_rows.failed.csv"
    found = [row.columns for row in file_rows(failures)]
    assert [row["name"] for row in found] == [f"Pessoa {number}0" for number in range(1, 11)]
    assert found[0]["syncro_error"] == "line 11: email 'sem email' is no email address"
    before = failures.read_bytes()
    ran = imported("some_bad_rows.csv", "--on-bad-row set-aside")
    assert len(sandbox.leads) == 90
    assert "see some_bad_rows.failed-2.csv" in ran.err
    assert len(file_rows(folder / "some_bad_rows.failed-2.csv")) == 10
    assert failures.read_bytes() == before


def test_a_cell_of_140_000_characters_arrives_whole(
    sandbox: Sandbox, imported: Import, folder: Path
) -> None:
    notes = "x" * 140_000
    content = f"name,email,notes\nAna Prado,ana@exemplo.com,{notes}\n"
    (folder / "big_cell.csv").write_text(content, encoding="utf-8")
    assert imported("big_cell.csv", "").code == 0
    assert held(sandbox, "notes") == [(notes,)]


def test_the_failures_never_replace_a_file_of_somebody_else(
    sandbox: Sandbox, imported: Import, folder: Path
) -> None:
    (folder / "clientes.csv").write_text("mine\n", encoding="utf-8")
    ran = imported("footer.csv", "--on-bad-row set-aside --failures clientes.csv")
    assert "see clientes-2.csv" in ran.err
    assert imported("sep_line.csv", "--failures clientes.csv").code == 0
    assert (folder / "clientes.csv").read_text(encoding="utf-8") == "mine\n"
    assert names(folder) == ["clientes-2.csv", "clientes.csv", "footer.csv", "sep_line.csv"]


def test_the_failures_of_a_spreadsheet_of_brazil_look_like_it(
    sandbox: Sandbox, imported: Import, folder: Path
) -> None:
    content = 'Nome;E-mail;Observações\nJoão;sem email;"=1+1"\n'
    (folder / "rows.csv").write_text(content, encoding="cp1252", newline="\r\n")
    assert imported("rows.csv", "").code == 1
    written = (folder / "rows.failed.csv").read_text(encoding="cp1252").splitlines()
    assert written == [
        "Nome;E-mail;Observações;syncro_error",
        "João;sem email;'=1+1;line 2: E-mail 'sem email' is no email address",
    ]


def test_the_locale_may_come_from_the_environment(
    sandbox: Sandbox, imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCRO_LOCALE", "pt-BR")
    assert imported("excel_br.csv", "").code == 0
    monkeypatch.setenv("SYNCRO_LOCALE", "xx")
    ran = imported("excel_br.csv", "")
    assert (ran.code, "locale 'xx' is not known; known are pt-BR, en-US" in ran.err) == (2, True)


def test_rows_come_from_the_standard_input(
    sandbox: Sandbox, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (CASES / "excel_br.csv").open("r", encoding="utf-8") as piped:
        monkeypatch.setattr("sys.stdin", piped)
        assert run("leads", "import", "-", *HOME, "--locale", "pt-BR").code == 0
    assert len(sandbox.leads) == 2
    with (CASES / "footer.csv").open("r", encoding="utf-8") as piped:
        monkeypatch.setattr("sys.stdin", piped)
        ran = run("leads", "import", "-", *HOME, "--on-bad-row", "set-aside")
    assert "see stdin.failed.csv" in ran.err
    assert names(folder) == ["stdin.failed.csv"]
