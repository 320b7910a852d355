"""What a server may ask for when it says «later», and what counts as nothing."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncro_async.retrying.retry_after import retry_after

NOON = 1_782_820_800.0  # 2026-06-30T12:00:00Z, a Tuesday
YEAR = 366 * 86400


def asked(*headers: str, body: Any = None, date: str | None = None) -> float | None:
    pairs = [("retry-after", value) for value in headers]
    if date is not None:
        pairs.append(("date", date))
    return retry_after(tuple(pairs), body, NOON)


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        ("7", {"retry_after": 7}, 7.0),
        ("0", {"retry_after": 0}, 0.0),
        ("0", None, 0.0),
        (None, {"retry_after": 0}, 0.0),
        ("7", {"retry_after": 9}, 9.0),
        ("9", {"retry_after": 7}, 9.0),
        ("7", {}, 7.0),
        ("7", None, 7.0),
        ("7", b"<html>Too Many Requests</html>", 7.0),
        ("7", [{"retry_after": 9}], 7.0),
        (None, {"retry_after": 7}, 7.0),
        (None, {"retry_after": "12"}, 12.0),
        (None, {"retry_after": 12.5}, 12.5),
        (None, {"retry_after": " 12.5 "}, 12.5),
        ("12.5", None, 12.5),
        (" 12 ", None, 12.0),
        ("abc", {"retry_after": 7}, 7.0),
        ("7", {"retry_after": "abc"}, 7.0),
        (None, None, None),
        (None, {}, None),
        (str(YEAR), None, float(YEAR)),
        (str(YEAR + 1), None, None),
    ],
)
def test_the_larger_usable_value_of_header_and_body_counts(
    header: str | None, body: Any, seconds: float | None
) -> None:
    assert asked(*([] if header is None else [header]), body=body) == seconds


RUBBISH = ["-1", "", " ", "abc", "nan", "inf", "1e3", "1e309", "1" + "0" * 35, "²", "٣", "+5", ".5"]


@pytest.mark.parametrize("text", [*RUBBISH, "5.", "0x10", "1_000", "5 seconds", "0" * 40 + "5"])
def test_rubbish_counts_as_nothing_in_header_and_body(text: str) -> None:
    assert asked(text) is None
    assert asked(body={"retry_after": text}) is None


@pytest.mark.parametrize(
    "value",
    [-1, -0.5, math.nan, math.inf, -math.inf, 10**35, 10**400, True, False, None, [7], {"s": 7}],
)
def test_what_is_no_number_of_seconds_counts_as_nothing_in_the_body(value: Any) -> None:
    assert asked(body={"retry_after": value}) is None


def test_two_headers_contradict_each_other_and_count_as_none() -> None:
    assert asked("7", "9") is None
    assert asked("7", "7") is None
    assert asked("7", "9", body={"retry_after": 3}) == 3.0


@pytest.mark.parametrize(
    "date",
    [
        "Tue, 30 Jun 2026 12:00:30 GMT",
        "Tuesday, 30-Jun-26 12:00:30 GMT",
        "Tue Jun 30 12:00:30 2026",
        "Tue, 30 Jun 2026 14:00:30 +0200",
    ],
)
def test_a_date_in_any_of_its_formats_is_measured_from_now(date: str) -> None:
    assert asked(date) == 30.0


@pytest.mark.parametrize("clock_is_off_by", [-3600, 3600])
def test_a_date_is_measured_from_the_answers_own_date_whatever_our_clock_says(
    clock_is_off_by: int,
) -> None:
    server = NOON + clock_is_off_by
    assert asked(formatdate(server + 30, usegmt=True), date=formatdate(server)) == 30.0


def test_a_date_is_measured_from_our_clock_where_the_answers_own_is_unreadable() -> None:
    assert asked(formatdate(NOON + 30, usegmt=True), date="yesterday") == 30.0


def test_a_date_in_the_past_asks_for_no_wait() -> None:
    assert asked(formatdate(NOON - 30, usegmt=True)) == 0.0


@pytest.mark.parametrize(
    "date",
    [
        "Tue, 30 Jun 100000 12:00:30 GMT",
        "Tue, 30 Jun 9999 12:00:30 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2300",
        "Tue, 31 Jun 2026 12:00:30 GMT",
        "Tue, 30 Jun 2026 25:00:30 GMT",
        "Tue, 30 Jun 2026 12:00:30 +99999999999",
        "30 Jun",
    ],
)
def test_a_date_that_cannot_be_meant_counts_as_none(date: str) -> None:
    assert asked(date) is None


@given(st.text(max_size=50), st.text(alphabet="0123456789 :,-+.GMTueJn", max_size=50))
def test_no_text_at_all_breaks_it(text: str, date: str) -> None:
    for header, body, answered in ((text, date, date), (date, text, text)):
        seconds = asked(header, body={"retry_after": body}, date=answered)
        assert seconds is None or 0 <= seconds <= YEAR
