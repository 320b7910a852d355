from __future__ import annotations

from typing import Any

import pytest

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
