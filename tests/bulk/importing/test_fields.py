from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from syncro_async.bulk.files import values
from syncro_async.bulk.importing.fields import (
    Definition,
    FieldError,
    FieldMapping,
    custom_value,
    definitions_from,
)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("12", 12),
        (" -12.5 ", -12.5),
        ("12,5", 12.5),
        ("1234,56", 1234.56),
        ("1.234,56", 1234.56),
        ("1,234.56", 1234.56),
        ("1.234.567", 1234567),
        ("1,234,567", 1234567),
        ("0.125", 0.125),
        ("1000.000", 1000.0),
        (7, 7),
        (7.5, 7.5),
    ],
)
def test_numbers_are_read_as_people_write_them(written: Any, number: float) -> None:
    assert values.number(written) == number


@pytest.mark.parametrize("written", ["1.234", "-1,234", "12.345"])
def test_what_may_mean_thousands_or_a_fraction_is_not_guessed(written: str) -> None:
    with pytest.raises(ValueError, match="may mean thousands or a fraction"):
        values.number(written)


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (values.number, "R$ 12"),
        (values.number, "1e3"),
        (values.number, True),
        (values.number, [1]),
        (values.number, float("inf")),
        (values.identifier, "12.5"),
        (values.identifier, True),
        (values.identifier, "x"),
        (values.identifier, "9" * 20),
        (values.number, "9" * 20),
        (values.text, 3),
        (values.phone, "5,51199E+12"),
        (values.phone, "12345"),
        (values.phone, "call me"),
        (values.phone, True),
        (values.email, "ana"),
        (values.email, "ana@@example.com"),
        (values.email, "ana@example.com, bia@example.com"),
        (values.names, 3),
        (values.names, [1]),
        (values.names, "[x"),
        (values.mapping, "[1]"),
        (values.mapping, 3),
        (values.day, "01/02/2026"),
        (values.day, "2026-02-30"),
        (values.day, 20260101),
        (values.yes_or_no, "perhaps"),
    ],
)
def test_what_does_not_fit_is_refused(read: Callable[[Any], Any], written: Any) -> None:
    with pytest.raises(ValueError, match=r"^(must be|is no) "):
        read(written)


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        (values.identifier, "12.0", 12),
        (values.identifier, 12.0, 12),
        (values.identifier, 12, 12),
        (values.phone, 5511999990001, "5511999990001"),
        (values.phone, 5511999990001.0, "5511999990001"),
        (values.phone, " +55 (11) 9-9999.0001 ", "+55 (11) 9-9999.0001"),
        (values.names, "vip, enterprise;vip,,", ["vip", "enterprise"]),
        (values.names, '["a, b"]', ["a, b"]),
        (values.names, ["a", " b "], ["a", "b"]),
        (values.day, "2026-07-01", "2026-07-01"),
        (values.day, "2026-07-01T00:00:00Z", "2026-07-01"),
        (values.yes_or_no, True, True),
        (values.yes_or_no, "Não", False),
        (values.yes_or_no, 1, True),
    ],
)
def test_what_fits_is_taken(read: Callable[[Any], Any], written: Any, value: Any) -> None:
    assert read(written) == value


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
        FieldError("mail", reason, "x@b.c")
    ]


def test_a_custom_field_without_a_name_is_no_field() -> None:
    with pytest.raises(ValueError, match="which is no field"):
        fields(columns={"x": "custom_fields."})
    assert "is no field" in str(fields().check_together("custom_fields."))
