from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from syncro_async import Lead
from syncro_async.bulk.files.locales import locale_named
from syncro_async.bulk.importing.fields import (
    Definition,
    FieldError,
    FieldMapping,
    custom_value,
    definitions_from,
)

KNOWN = definitions_from(
    [
        {"name": "text", "field_type": "text"},
        {"name": "size", "field_type": "select", "options": ["1", "2"]},
        Definition("many", "multiselect", ["a", "b"]),
        {"name": "none", "field_type": "multiselect"},
        {"name": "money", "field_type": "currency"},
        {"name": "odd", "field_type": "of_tomorrow"},
    ]
)


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("text", 12, "12"),
        ("size", 1, "1"),
        ("many", "a;b", ["a", "b"]),
        ("money", "1.500,00", 1500.0),
        ("odd", " x ", "x"),
        ("odd", 3, 3),
    ],
)
def test_a_custom_value_fits_its_field(name: str, written: Any, value: Any) -> None:
    assert custom_value(name, written, KNOWN) == value


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        ("size", "3", "must be one of 1, 2"),
        ("many", ["a", "c"], "must hold some of a, b"),
        ("none", "a", "must hold some of"),
        ("other", "x", "is no custom field of the account (it has text, size"),
    ],
)
def test_a_custom_value_that_does_not_fit_says_what_would(
    name: str, written: Any, says: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its text is what is looked at
        custom_value(name, written, KNOWN)
    assert says in str(caught.value)


def test_an_account_without_custom_fields_says_so() -> None:
    with pytest.raises(ValueError, match="it has none"):
        custom_value("x", 1, {})


def fields(**more: Any) -> FieldMapping:
    settings: dict[str, Any] = {"columns": None, "defaults": None, **more}
    return FieldMapping("upsert", "email_or_phone", **settings)


def test_a_column_holds_the_field_of_its_name_however_it_is_spelled() -> None:
    row = {
        " Email ": "a@b.c",
        "UTM Source": "x",
        "Stage_ID": "4",
        "custom_fields.Size": "M",
        "value": float("nan"),
        "notes": " ",
        "tags": [],
        "syncro_error": "of the last time",
    }
    assert fields().convert(row) == (
        {
            "email": "a@b.c",
            "utm_source": "x",
            "stage_id": 4,
            "custom_fields": {"Size": "M"},
        },
        [],
    )


def test_columns_may_be_mapped_left_out_and_filled() -> None:
    rule = fields(
        columns={"E-mail": "email", "id": None, "porte": "custom_fields.size"},
        defaults={"source": "fair", "custom_fields": {"size": "M", "x": 1}},
    )
    row = {"E-mail": "a@b.c", "id": "12", "porte": "G", "source": ""}
    assert rule.convert(row)[0] == {
        "email": "a@b.c",
        "source": "fair",
        "custom_fields": {"size": "G", "x": 1},
    }


def test_two_columns_of_one_field_must_agree() -> None:
    rule = fields(columns={"mail": "email"})
    assert rule.convert({"email": "a@b.c", "mail": "a@b.c"})[1] == []
    reason = "says of email what another column says otherwise"
    assert rule.convert({"email": "a@b.c", "mail": "x@b.c"})[1] == [
        FieldError("mail", reason, "x@b.c", "leave it out with {ignore}")
    ]


def test_a_custom_field_without_a_name_is_no_field() -> None:
    with pytest.raises(ValueError, match="which is no field"):
        fields(columns={"x": "custom_fields."})
    _, (complaint,) = fields().convert({"custom_fields.": 1})
    assert (complaint.column, "is no field" in complaint.reason) == ("custom_fields.", True)


# ------------------------------------------------------------------ rows of an export

EXPORTED = {"id": "7", "name": "Ana", "phone": "11 99999-0001", "email": "none", "value": "1.500"}


def test_a_row_with_the_id_of_its_lead_may_have_what_the_lead_has_already() -> None:
    rule = fields(compared=True)
    row = {**EXPORTED, "custom_fields": '{"size": "3", "many": ["a"]}'}
    rule.learn(KNOWN)
    sent, complaints = rule.convert(row)
    assert complaints == []
    assert sent == {
        "name": "Ana",
        "phone": "11 99999-0001",
        "email": "none",
        "value": "1.500",
        "custom_fields": {"size": "3", "many": ["a"]},
    }
    doubts = rule.doubts(row)
    assert list(doubts) == ["phone", "email", "value", "custom_fields.size"]
    assert doubts["email"] == FieldError("email", "is no email address", "none")
    assert rule.lead_id(row) == 7


@pytest.mark.parametrize(
    ("settings", "change"),
    [({}, {}), ({"compared": True}, {"id": ""}), ({"compared": True}, {"id": "x"})],
)
def test_other_rows_may_not(settings: dict[str, Any], change: dict[str, Any]) -> None:
    rule = fields(**settings)
    row = {**EXPORTED, **change}
    columns = [complaint.column for complaint in rule.convert(row)[1]]
    assert columns[-3:] == ["phone", "email", "value"]
    assert rule.doubts(row) == {}


def test_an_id_of_another_kind_is_refused_unless_it_may_be_ignored() -> None:
    row = {"id": "l:10", "email": "a@b.c"}
    _, (complaint,) = fields().convert(row)
    assert complaint == FieldError("id", "is no id of a lead", "l:10", "leave it out with {ignore}")
    assert fields(ignore_others=True).convert(row) == ({"email": "a@b.c"}, [])
    assert fields().lead_id(row) is fields().lead_id({"email": "a@b.c"}) is None
    assert fields().convert({"id": 12.0, "email": "a@b.c"})[1] == []


def test_what_is_blank_when_it_is_cleaned_is_not_sent() -> None:
    cleaned: Counter[str] = Counter()
    row = {"email": "a@b.c", "phone": "'", "custom_fields": {"text": "\u200b", "size": None}}
    assert fields().convert(row, cleaned) == ({"email": "a@b.c"}, [])
    assert cleaned == {}


def test_a_map_of_custom_fields_must_be_one() -> None:
    _, (complaint,) = fields().convert({"email": "a@b.c", "custom_fields": "x"})
    assert complaint == FieldError("custom_fields", "is no JSON", "x")


def test_custom_values_are_cleaned_by_the_type_of_their_field() -> None:
    rule = fields(definitions=KNOWN)
    cleaned: Counter[str] = Counter()
    row = {"email": "a@b.c", "custom_fields.money": "'1.500,00", "custom_fields.text": "'s"}
    sent, _ = rule.convert(row, cleaned)
    assert sent["custom_fields"] == {"money": 1500.0, "text": "'s"}
    assert cleaned == {"'": 1}


def test_the_key_of_a_phone_is_that_of_every_spelling() -> None:
    rule = fields(locale=locale_named("pt-BR"))
    keys = {rule.keys({"phone": one}) for one in ("+5511999990001", "(11) 99999-0001")}
    assert keys == {(None, "5511999990001")}


STORED = Lead(
    id=7,
    name="Ana\u00a0Prado",
    phone="(11) 99999-0001",
    email="none",
    value=1.125,
    tags=["'x'", '"y"'],
    notes=" a ",
    custom_fields={"size": "3", "money": 5, "text": "007"},
)


@pytest.mark.parametrize(
    "row",
    [
        {"name": "Ana\u00a0Prado", "phone": "(11) 99999-0001", "email": "none", "value": "1.125"},
        {"name": "Ana Prado", "phone": "+5511999990001", "value": 1.125, "notes": " a "},
        {"value": "1,125", "tags": '["\'x\'","\\"y\\""]', "notes": "a"},
        {"tags": ["'x'", '"y"'], "custom_fields": '{"size":"3","money":5}', "company": "x"},
        {"custom_fields.text": "007", "custom_fields.size": "3", "custom_fields.money": "5.0"},
    ],
)
def test_what_the_lead_has_in_any_spelling_is_unchanged(row: dict[str, Any]) -> None:
    rule = fields(locale=locale_named("pt-BR"), definitions=KNOWN)
    own = rule.own(row)
    custom = own.pop("custom_fields", {})
    expected = {*own, *(f"custom_fields.{name}" for name in custom)}
    assert rule.unchanged(row, STORED) == expected != set()


@pytest.mark.parametrize(
    "row",
    [
        {"name": "Ana", "phone": "+5511999990002", "email": "a@b.c", "value": "x", "tags": "z"},
        {"source": "site", "value": "1.126", "tags": "[1", "custom_fields": {"text": "7"}},
        {"name": "", "value": 1.5, "tags": ["x"], "custom_fields.other": "3"},
    ],
)
def test_what_the_lead_has_not_is_a_change(row: dict[str, Any]) -> None:
    assert fields(definitions=KNOWN).unchanged(row, STORED) == set()


def test_the_defaults_and_the_empty_cells_are_no_fields_of_the_row() -> None:
    rule = fields(defaults={"source": "fair"})
    row = {"email": "a@b.c", "name": "", "notes": None, "id": "", "created_at": "", "x": ""}
    assert (rule.own(row), rule.blank(row)) == ({"email": "a@b.c"}, ["name", "notes"])
