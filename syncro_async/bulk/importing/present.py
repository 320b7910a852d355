"""Decides what an update repeats of a lead, for a server that wants it with each update."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from syncro_async.bulk.importing.matching import normal_email, same_phone
from syncro_async.bulk.importing.plan import PRESENT, Key
from syncro_async.errors import SyncroError, ValidationError
from syncro_async.models.lead import Lead

_AGAIN = "import the row again with a new journal, so that it is compared with the lead of now"
_PERMISSION = "with the permission pipelines:read the import finds the pipeline of the lead's stage"


class LeadChangedError(SyncroError):
    """An update was not sent: what the lead has now does not allow it, or is not shown."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def newly_wanted(
    error: ValidationError, fields: Collection[str], repeated: Collection[str]
) -> frozenset[str]:
    """Return what the server wants besides the fields and what was repeated.

    Empty when it refused something else.
    """
    missing = frozenset(error.errors)
    return missing if missing <= {*PRESENT} - {*fields, *repeated} else frozenset()


def spelled_now(lead: Lead, key: Key, sent: str, *, is_own: bool) -> str:
    """Return the key as the lead has it now, or as it was where the answer does not show it.

    `is_own`: the import has made the lead, so that any key is right. Raises `LeadChangedError` for
    another key of another lead: by the old one the server would find another lead, or create one.
    """
    now = getattr(lead, key)
    if not now:
        return sent
    is_same = same_phone(now, sent) if key == "phone" else normal_email(now) == normal_email(sent)
    if not is_same and not is_own:
        raise LeadChangedError(
            f"lead {lead.id} was not changed: its {key}, by which the server finds it, was {sent}"
            f" and is {now} now",
            _AGAIN,
        )
    return str(now)


def lacks_pipeline(lead: Lead, wanted: Collection[str], known: Mapping[str, Any]) -> bool:
    """Return whether only the list of pipelines can tell in which one the lead is."""
    return "pipeline_id" in wanted and _pipeline_of(lead, known, {}) is None


def present_of(
    lead: Lead,
    wanted: Collection[str],
    known: Mapping[str, Any],
    pipelines: Mapping[int, int],
) -> dict[str, Any]:
    """Return the wanted fields as the lead has them now.

    `lead`: as the server shows it immediately before the update. `known`: a stage and its
    pipeline; `pipelines`: the pipeline of each stage. Both are used only for the pipeline of the
    stage that the lead has now. Raises `LeadChangedError` for what the answer does not show.
    """
    shown: dict[str, Any] = {
        "name": lead.name or None,
        "pipeline_id": _pipeline_of(lead, known, pipelines),
        "stage_id": _stage_of(lead),
    }
    present = {name: shown[name] for name in PRESENT if name in wanted}
    hidden = [name for name, value in present.items() if value is None]
    if hidden:
        raise LeadChangedError(
            f"lead {lead.id} was not changed: the server wants {' and '.join(hidden)} with each"
            " update, and does not show what the lead has now",
            _PERMISSION if hidden == ["pipeline_id"] else "change this lead in Syncro itself",
        )
    return present


def _stage_of(lead: Lead) -> int | None:
    if lead.stage_id is None and lead.stage is not None:
        return lead.stage.id
    return lead.stage_id


def _pipeline_of(lead: Lead, known: Mapping[str, Any], pipelines: Mapping[int, int]) -> int | None:
    if lead.pipeline_id is not None:
        return lead.pipeline_id
    if lead.pipeline is not None:
        return lead.pipeline.id
    stage = _stage_of(lead)
    if stage is None:
        return None
    # A stage belongs to one pipeline.
    return known.get("pipeline_id") if stage == known.get("stage_id") else pipelines.get(stage)
