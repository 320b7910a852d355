from __future__ import annotations

import pytest

from syncro_async.bulk.estimates import requests_for


@pytest.mark.parametrize(
    ("total", "requests"), [(0, 1), (1, 1), (200, 1), (201, 4), (400, 4), (50_000, 500)]
)
def test_one_page_is_read_once_and_any_other_list_twice(total: int, requests: int) -> None:
    assert requests_for(total, 200) == requests


@pytest.mark.parametrize(
    ("total", "requests"), [(1, 1), (1200, 12), (1201, 10), (30_000, 153), (50_000, 253)]
)
def test_a_long_list_is_read_once_with_three_requests_more(total: int, requests: int) -> None:
    assert requests_for(total, 200, once=True) == requests
