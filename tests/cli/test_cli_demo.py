from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from syncro_async import RateLimit
from syncro_async.cli.bound import Tally
from syncro_async.cli.demo import Result, report
from syncro_async.cli.endings import CommandFailedError
from tests.cli.running import Ran, finish, lines, names, start


def demo(*words: str) -> Ran:
    """A demo in a process of its own.

    In this one another test's slots may still be taken, at a port that the demo's sandbox got
    again: the same budget, with other rates.
    """
    return finish(start("demo", *words))


def test_the_demo_exports_every_lead_and_reports_its_share_of_the_bound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNCRO_API_KEY", "crm_of_another")
    monkeypatch.setenv("SYNCRO_BASE_URL", "http://127.0.0.1:9/api/v1")
    code, out, err = demo("--leads", "12300", "--minute", "1")
    assert (code, err) == (0, "")
    told = dict(re.split(r"  +", line) for line in out.splitlines())
    assert told["leads"] == "12300 distinct of 12300"
    assert told["requests"] == "124"  # two readings of 62 pages
    assert told["429s"] == "0 (client), 0 (sandbox)"
    assert re.fullmatch(r"\d+\.\d%", told["share of bound"])
    assert told["file"] == "leads.jsonl"
    assert names(folder) == ["leads.jsonl"]
    assert len({json.loads(line)["id"] for line in lines(folder / "leads.jsonl")}) == 12300


@pytest.mark.usefixtures("folder")
def test_a_demo_that_fits_one_minute_has_no_share() -> None:
    code, out, _ = demo("--leads", "150")
    assert code == 0
    assert "not bounded" in out


@pytest.mark.parametrize(
    ("came", "refused_here", "refused_there"), [((1,), 0, 0), ((1, 2), 1, 0), ((1, 2), 0, 1)]
)
def test_a_lost_lead_or_a_429_fails_the_demo(
    capsys: pytest.CaptureFixture[str], came: tuple[int, ...], refused_here: int, refused_there: int
) -> None:
    result = Result(2, RateLimit(60, 5.0), Tally(refused=refused_here))
    result.ids.update(came)
    with pytest.raises(CommandFailedError, match="lost or requests refused"):
        report(result, lambda: refused_there)
    assert f"{len(came)} distinct of 2" in capsys.readouterr().out


def test_a_demo_without_loss_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result(2, RateLimit(60, 5.0), Tally())
    result.ids.update((1, 2))
    assert report(result, lambda: 0) == 0
    assert "2 distinct of 2" in capsys.readouterr().out
