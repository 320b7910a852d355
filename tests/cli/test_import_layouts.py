"""Exports of other programs, through the commands that docs/importing.md gives for them.

The headers are those that the programs write; the people are invented.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import xlsxwriter

from syncro_async.bulk.files.reading import read_file
from syncro_async.sandbox import Sandbox
from tests.cli.run_cli import Run, Serve

DOCS = Path(__file__).parents[2] / "docs" / "importing.md"
TABLE = DOCS.with_name("import-files.md")
HOME = "--set pipeline_id=1 --set stage_id=4"


def text(
    header: str, *rows: str, encoding: str = "utf-8", delimiter: str = ",", end: str = "\r\n"
) -> bytes:
    """A file of a header and rows whose cells stand between bars."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerows([cell.strip() for cell in row.split("|")] for row in (header, *rows))
    return out.getvalue().encode(encoding)


def workbook(header: str, *rows: list[Any]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("Planilha1")
        for number, row in enumerate([header.split("|"), *rows]):
            sheet.write_row(number, 0, row)
    return out.getvalue()


class Layout(NamedTuple):
    """A file of a program, the options of its command, and the leads that it makes."""

    program: str
    file: str
    content: bytes
    options: str
    leads: list[tuple[str | None, str | None, str | None, float | None, list[str]]]


ANA = ("Ana Prado", "ana@exemplo.com", "+5511999990001")
BETO = ("Beto Conceição", "beto@exemplo.com", "+551133334444")

LAYOUTS = [
    Layout(
        "Excel",
        "clientes.xlsx",
        workbook(
            "Nome|E-mail|Celular|Valor|Etiquetas|Observações",
            ["Ana Prado", "ana@exemplo.com", 5511999990001, 1234.5, "vip, novo", "=1+1"],
            ["Beto Conceição", "beto@exemplo.com", "(11) 3333-4444", "R$ 2.500,00", None, None],
        ),
        "--locale pt-BR",
        [(*ANA, 1234.5, ["vip", "novo"]), (*BETO, 2500.0, [])],
    ),
    Layout(
        "Excel",
        "clientes.csv",
        text(
            "Nome|E-mail|Telefone|Valor|Origem",
            "Ana Prado|ana@exemplo.com|11 99999-0001|1.234,50|site",
            "Beto Conceição|beto@exemplo.com|(11) 3333-4444|R$ 2.500,00|feira",
            encoding="cp1252",
            delimiter=";",
        ),
        "--locale pt-BR",
        [(*ANA, 1234.5, []), (*BETO, 2500.0, [])],
    ),
    Layout(
        "Google Contacts",
        "contacts.csv",
        text(
            "First Name|Middle Name|Last Name|Phonetic First Name|Nickname|File As"
            "|Organization Name|Organization Title|Birthday|Notes|Photo|Labels"
            "|E-mail 1 - Label|E-mail 1 - Value|Phone 1 - Label|Phone 1 - Value",
            "Ana||Prado||||Padaria|Dona|1990-11-30|||* myContacts|* |ana@exemplo.com|Mobile"
            "|+55 11 99999-0001",
            "Beto||Conceição|||||||||* myContacts||beto@exemplo.com||(11) 3333-4444",
        ),
        '--locale pt-BR --column "First Name+Middle Name+Last Name=name" --ignore-others',
        [(*ANA, None, []), (*BETO, None, [])],
    ),
    Layout(
        "Outlook",
        "outlook.csv",
        text(
            "First Name|Middle Name|Last Name|Title|Suffix|Nickname|E-mail Address|E-mail 2 Address"
            "|Home Phone|Business Phone|Mobile Phone|Company|Job Title|Birthday|Notes|Categories",
            "Ana||Prado||||ana@exemplo.com||||11999990001|Padaria|Dona|0/0/00||vip;novo",
            "Beto||Conceição||||beto@exemplo.com||||(11) 3333-4444||||| ",
            encoding="cp1252",
        ),
        '--locale pt-BR --column "First Name+Last Name=name" --column "Categories=tags"'
        " --ignore-others",
        [(*ANA, None, ["vip", "novo"]), (*BETO, None, [])],
    ),
    Layout(
        "HubSpot",
        "hubspot.csv",
        text(
            "Record ID|First Name|Last Name|Email|Phone Number|Contact owner|Lead Status"
            "|Create Date|Associated Company",
            "151|Ana|Prado|ana@exemplo.com|+5511999990001|Rui|New|2026-01-02 10:00|Padaria",
            "152|Beto|Conceição|beto@exemplo.com|+55 11 3333-4444|Rui||2026-01-03 10:00|",
        ),
        '--column "First Name+Last Name=name" --ignore-others',
        [(*ANA, None, []), (*BETO, None, [])],
    ),
    Layout(
        "Pipedrive",
        "deals.xlsx",
        workbook(
            "Deal - Title|Deal - Value|Deal - Currency of Value|Deal - Owner|Deal - Stage"
            "|Person - Name|Person - Phone|Person - Email",
            [
                *("Padaria", 1234.5, "BRL", "Rui", "Proposta"),
                *("Ana Prado", "'+5511999990001", "ana@exemplo.com"),
            ],
            [
                *("Escola", 2500, "BRL", "Rui", "Proposta"),
                *("Beto Conceição", "1133334444", "beto@exemplo.com"),
            ],
        ),
        '--locale pt-BR --column "Person - Name=name" --column "Person - Phone=phone"'
        ' --column "Person - Email=email" --column "Deal - Value=value" --ignore-others',
        [(*ANA, 1234.5, []), (*BETO, 2500, [])],
    ),
    Layout(
        "RD Station",
        "leads-rd.csv",
        text(
            "Email|Nome|Telefone|Celular|Cargo|Empresa|Estado|Cidade|Tags|Estágio no funil"
            "|Dono do Lead|Data da primeira conversão|Origem da primeira conversão",
            "ana@exemplo.com|Ana Prado||(11) 99999-0001|Dona|Padaria|SP|São Paulo|vip, novo|Lead"
            "||2026-01-02 10:00:00 -0300|Busca Orgânica",
            "beto@exemplo.com|Beto Conceição|(11) 3333-4444||||||||||Direto",
            encoding="utf-8-sig",
        ),
        '--locale pt-BR --column "Origem da primeira conversão=source" --ignore-others',
        [(*ANA, None, ["vip", "novo"]), (*BETO, None, [])],
    ),
    Layout(
        "Kommo",
        "kommo_export.csv",
        text(
            "ID|Lead title|Sale|Lead stage|Pipeline|Responsible user|Lead tags|Main contact"
            "|Mobile phone (contact)|Work email (contact)",
            "11|Padaria|1234.5|Proposta|Vendas|Rui|vip,novo|Ana Prado|'5511999990001"
            "|ana@exemplo.com",
            "12|Escola|2500|Proposta|Vendas|Rui||Beto Conceição|'551133334444|beto@exemplo.com",
            delimiter=";",
        ),
        '--locale pt-BR --column "Main contact=name" --column "Mobile phone (contact)=phone"'
        ' --column "Work email (contact)=email" --column "Sale=value" --column "Lead tags=tags"'
        " --ignore-others",
        [(*ANA, 1234.5, ["vip", "novo"]), (*BETO, 2500, [])],
    ),
    Layout(
        "Salesforce",
        "report.csv",
        text(
            "Lead Owner|First Name|Last Name|Title|Company / Account|Email|Phone|Lead Source"
            "|Lead Status",
            "Rui|Ana|Prado|Dona|Padaria|ana@exemplo.com|+55 11 99999-0001|Web|Open",
            "Rui|Beto|Conceição|||beto@exemplo.com|(11) 3333-4444|Web|Open",
            encoding="cp1252",
        )
        + b'\r\n"Leads"\r\n"Generated by: Rui  02/01/2026 10:00"\r\n',
        '--locale pt-BR --column "First Name+Last Name=name" --ignore-others'
        " --on-bad-row set-aside",
        [(*ANA, None, []), (*BETO, None, [])],
    ),
    Layout(
        "Zoho",
        "Leads_001.csv",
        text(
            "Record Id|Lead Owner.id|Lead Owner|Company|First Name|Last Name|Title|Email|Phone|Fax"
            "|Mobile|Lead Source|Tag",
            "zcrm_1|zcrm_9|Rui|Padaria|Ana|Prado|Dona|ana@exemplo.com|||+5511999990001|Web|vip,novo",
            "zcrm_2|zcrm_9|Rui|Escola|Beto|Conceição||beto@exemplo.com|+551133334444|||Web|",
        ),
        '--column "First Name+Last Name=name" --ignore-others',
        [(*ANA, None, ["vip", "novo"]), (*BETO, None, [])],
    ),
    Layout(
        "Mailchimp",
        "subscribed_members.csv",
        text(
            "Email Address|First Name|Last Name|Address|Phone Number|Birthday|MEMBER_RATING"
            "|OPTIN_TIME|LAST_CHANGED|LEID|EUID|NOTES|TAGS",
            "ana@exemplo.com|Ana|Prado||+55 11 99999-0001|11/30|2|2026-01-02 10:00:00"
            '|2026-01-02 10:00:00|1|a1|| "vip","novo"',
            "beto@exemplo.com|Beto|Conceição||+55 11 3333-4444||2|2026-01-02 10:00:00"
            "|2026-01-02 10:00:00|2|a2||",
        ),
        '--column "First Name+Last Name=name" --ignore-others',
        [(*ANA, None, ["vip", "novo"]), (*BETO, None, [])],
    ),
    Layout(
        "Facebook Lead Ads",
        "leads_fb.csv",
        text(
            "id|created_time|ad_id|ad_name|form_id|is_organic|platform|full_name|email"
            "|phone_number",
            "l:10|2026-11-20T10:00:00-03:00|ag:1|Anúncio|f:2|false|ig|Ana Prado"
            "|ana@exemplo.com|p:+5511999990001",
            "l:11|2026-11-20T11:00:00-03:00|ag:1|Anúncio|f:2|false|fb|Beto Conceição"
            "|beto@exemplo.com|p:+551133334444",
            encoding="utf-16",
            delimiter="\t",
        ),
        "--ignore-others",
        [(*ANA, None, []), (*BETO, None, [])],
    ),
    Layout(
        "WhatsApp",
        "whatsapp.csv",
        text(
            "Country Code|Phone Number|Saved Name|Public Display Name|Group Name",
            "55|\u202a+55 11 99999‑0001\u202c|Ana Prado|ana|Clientes",  # noqa: RUF001  # as WhatsApp writes it
            "55|\u202a+55 11 3333\u00a04444\u202c|Beto Conceição||Clientes",
        ),
        '--column "Saved Name=name" --ignore-others',
        [
            ("Ana Prado", None, "+5511999990001", None, []),
            ("Beto Conceição", None, "+551133334444", None, []),
        ],
    ),
]


@pytest.fixture
def import_file(
    run: Run, serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Layout], tuple[str, list[tuple[Any, ...]]]]:
    monkeypatch.delenv("SYNCRO_LOCALE", raising=False)

    def import_file(layout: Layout) -> tuple[str, list[tuple[Any, ...]]]:
        sandbox = Sandbox(0, per_minute=10_000)
        serve(sandbox)
        (folder / layout.file).write_bytes(layout.content)
        err = run("leads", "import", layout.file, *shlex.split(f"{HOME} {layout.options}")).err
        leads = (
            (lead["name"], lead["email"], lead["phone"], lead["value"], lead["tags"])
            for lead in sandbox.leads.values()
        )
        return err, sorted(leads, key=str)

    return import_file


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.program}, {layout.file}")
def test_the_command_of_the_guide_imports_every_lead(
    import_file: Callable[[Layout], tuple[str, list[tuple[Any, ...]]]], layout: Layout
) -> None:
    err, leads = import_file(layout)
    assert leads == layout.leads, err


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.program}, {layout.file}")
def test_the_guide_has_the_command(layout: Layout) -> None:
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    assert f"syncro leads import {layout.file} {layout.options} {HOME}" in lines


def row_of_the_table(layout: Layout, file: Path) -> str:
    """The program, its file with the columns, the options of the command, and the first lead."""
    file.write_bytes(layout.content)
    with read_file(file) as table:
        columns = ", ".join(table.header or ())
    *known, tags = layout.leads[0]
    lead = ", ".join(str(value) for value in (*known, *tags) if value is not None)
    cells = (
        layout.program,
        f"`{layout.file}`: {columns}",
        f"`{layout.options}`",
        f"2 leads: {lead}",
    )
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.program}, {layout.file}")
def test_the_table_says_what_the_command_does(layout: Layout, tmp_path: Path) -> None:
    assert len(layout.leads) == len(("Ana Prado", "Beto Conceição"))
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    assert row_of_the_table(layout, tmp_path / layout.file) in lines
