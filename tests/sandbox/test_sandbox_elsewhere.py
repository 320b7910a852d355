"""A sandbox served from a process of its own."""

from __future__ import annotations

import httpx
import pytest

from syncro_async.sandbox import FULL_KEY, serving_elsewhere


def test_it_serves_and_tells_what_it_has_counted() -> None:
    with serving_elsewhere(leads=12, per_minute=2) as sandbox:
        answers = [
            httpx.get(f"{sandbox.url}/leads", headers={"X-API-Key": FULL_KEY}) for _ in range(3)
        ]
        refused = sandbox.refused()

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].json()["meta"]["total"] == 12
    assert refused == 1


def test_it_is_gone_when_the_block_ends() -> None:
    with serving_elsewhere(leads=10) as sandbox:
        url = sandbox.url

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/leads")


def test_a_process_that_cannot_start_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="ended before it listened"), serving_elsewhere(window="none"):
        pass

    assert "none" in capfd.readouterr().err
