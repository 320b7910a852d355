"""Columns of files: which field each holds, and what is said of those that hold none."""

from __future__ import annotations

from typing import Any

import pytest

from syncro_async import ColumnUse
from syncro_async.bulk.importing.columns import WRITABLE, ColumnMapping, Target, plain_name


def use_of(name: str, *others: str, **given: Any) -> Target:
    options = {"ignore_others": given.pop("ignore_others", False)}
    return ColumnMapping(given.pop("columns", {}), **options).targets([name, *others])[name]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *((field, field) for field in WRITABLE),
        ("Nome", "name"),
        ("NOME COMPLETO", "name"),
        ("Full Name", "name"),
        ("E-mail", "email"),
        ("Email:", "email"),
        ("E-mail 1 - Value", "email"),
        ("Endereço de e-mail", "email"),
        ("Telefone", "phone"),
        ("CELULAR", "phone"),
        ("phone_number", "phone"),
        ("Celular/WhatsApp", "phone"),
        ("Valor", "value"),
        ("Origem", "source"),
        ("Etiquetas", "tags"),
        ("Observações", "notes"),
        ("observacoes", "notes"),
        ("UTM Source", "utm_source"),
        ("Stage ID", "stage_id"),
        (" custom_fields.CPF ", "custom_fields.CPF"),
        ("custom_fields", "custom_fields"),
    ],
)
def test_a_column_is_known_by_its_english_and_portuguese_names(name: str, field: str) -> None:
    assert use_of(name) == Target("field", field)


@pytest.mark.parametrize("name", ["Labels", "colour", "Nome da mãe", "custom_fields.", "", "Owner"])
def test_other_columns_are_not_known(name: str) -> None:
    assert use_of(name).use == "unknown"
    assert use_of(name).problem is not None
    assert use_of(name, ignore_others=True) == Target("ignored")


@pytest.mark.parametrize("name", ["created_at", "stage", "owner", "pipeline", "score", "tasks"])
def test_what_an_export_writes_and_nobody_can_change_is_left_out(name: str) -> None:
    assert use_of(name) == Target("read-only")


@pytest.mark.parametrize("name", ["company", "Empresa", "birthday", "Data de nascimento"])
def test_company_and_birthday_cannot_be_written(name: str) -> None:
    assert use_of(name).use == "not writable"
    assert use_of(name, "id", "created_at").use == "read-only"  # an export of ours
    assert use_of(name, ignore_others=True).use == "ignored"
    assert use_of(name, columns={name: "custom_fields.x"}) == Target("field", "custom_fields.x")


def test_what_is_said_about_a_column_counts_before_all() -> None:
    columns = {"Título": "name", "Nome": None, "email": "notes"}
    assert use_of("titulo", columns=columns) == Target("field", "name")
    assert use_of("Nome", columns=columns) == Target("ignored")
    assert use_of("email", columns=columns) == Target("field", "notes")
    assert use_of("syncro_error", columns={"syncro_error": "notes"}) == Target("ignored")
    assert use_of("syncro_raw") == Target("ignored")
    with pytest.raises(ValueError, match="columns: 'x' cannot hold 'colour', which is no field"):
        ColumnMapping({"x": "colour"})


def test_a_repeated_column_is_refused_unless_it_is_left_out() -> None:
    assert use_of("phone (2)", "phone").use == "repeated"
    assert use_of("phone (2)", "phone", columns={"phone": None}) == Target("ignored")
    assert use_of("phone (2)", "phone", columns={"phone (2)": None}) == Target("ignored")
    assert use_of("phone (2)", "phone", columns={"phone (2)": "notes"}) == Target("field", "notes")
    assert use_of("x (2)", "x", ignore_others=True) == Target("ignored")
    assert use_of("phone (2)", "phone", ignore_others=True).use == "repeated"
    assert use_of("created_at (2)", "created_at") == Target("read-only")


def test_several_columns_hold_one_field_together() -> None:
    mapping = ColumnMapping({"First Name+last name": "name", "DDD+Número": "phone", "a+b": None})
    row = {"First Name": "Ana", "Last Name": "Prado", "DDD": 11, "Numero": "99999-0001"}
    assert [(label, to.field, value) for label, to, value in mapping.fields_in(row)] == [
        ("First Name+last name", "name", "Ana Prado"),
        ("DDD+Número", "phone", "11 99999-0001"),
    ]
    alone = {"First Name": "Beto", "Last Name": None}
    assert [value for *_, value in mapping.fields_in(alone)] == ["Beto"]
    assert mapping.uses(["First Name", "Last Name"]) == (
        ColumnUse("First Name", None, "part"),
        ColumnUse("Last Name", None, "part"),
        ColumnUse("First Name+last name", "name", "field"),
    )


def test_a_column_may_have_a_plus_in_its_name() -> None:
    mapping = ColumnMapping({"A+B": "name"})
    assert [value for *_, value in mapping.fields_in({"A+B": "x"})] == ["x"]
    assert mapping.lacking(["A+B"]) == mapping.lacking(["A", "b"]) == []


def test_names_that_are_no_column_are_told() -> None:
    mapping = ColumnMapping({"E-mail": "email", "A+B": "name", "x": None})
    assert mapping.lacking(["e_mail", "A"]) == ["A+B", "x"]


def test_a_name_is_compared_without_accents_capitals_and_marks() -> None:
    assert plain_name("  E_Mail  (Principal): ") == "e mail principal"
    assert plain_name("Observações") == "observacoes"
