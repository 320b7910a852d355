"""The compose file of docs/fleet.md: it is YAML, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(block)
    return found


def test_every_name_that_a_service_uses_is_defined(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert ("image" in service) != ("build" in service)
        assert set(service.get("depends_on", ())) <= set(services)
        named = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {name for name in named if not name.startswith(("/", "."))} <= set(
            compose["volumes"]
        )


def test_the_workers_and_the_sender_run_the_example(compose: dict[str, Any]) -> None:
    source = (ROOT / "examples" / "fleet_taskiq.py").read_text(encoding="utf-8")
    for name in ("worker", "nightly"):
        service = compose["services"][name]
        assert "examples.fleet_taskiq" in " ".join(service["command"])
        for variable in service["environment"]:
            assert variable == "SYNCRO_LIMITER" or f'"{variable}"' in source


def test_queue_and_budgets_are_in_two_databases(compose: dict[str, Any]) -> None:
    environment = compose["services"]["worker"]["environment"]
    databases = {environment["FLEET_REDIS"], environment["SYNCRO_LIMITER"]}
    assert databases == {"redis://redis:6379/0", "redis://redis:6379/1"}


def test_redis_keeps_its_data_and_evicts_nothing(compose: dict[str, Any]) -> None:
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
