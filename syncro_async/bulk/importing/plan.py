"""Decides which lead a row is about, and what sending the row would change in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from syncro_async.bulk.files import values
from syncro_async.bulk.importing.columns import CUSTOM, ID
from syncro_async.bulk.importing.fields import FieldError
from syncro_async.bulk.importing.matching import same_name, same_phone
from syncro_async.models.lead import Lead
from syncro_async.resources.arguments import MATCH_KEYS, MatchBy

Changes = dict[str, tuple[Any, Any]]
Key = Literal["email", "phone"]
TagsMode = Literal["add", "replace", "skip"]

# What a lead is created with; an update may have to repeat it.
PRESENT = ("name", "pipeline_id", "stage_id")
PLACE = ("pipeline_id", "stage_id")
_KEYS: tuple[Key, ...] = ("email", "phone")


class RowPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a row changes in a lead.

    - `lead_id`: the lead
    - `key`, `match_by`: the key by which the server finds it, as the server spells it; an empty
      key where no request needs one
    - `changes`: the fields that change, each with its present and its new value
    - `place`: the lead's pipeline and stage at the comparison, which are never sent for another
      stage: the lead may be moved before its row is sent
    - `add_tags`, `remove_tags`: the tags that it lacks, and those that it is not to have
    - `emptied`: in how many fields the row has an empty cell and the lead a value
    """

    lead_id: int
    match_by: Key = "email"
    key: str = ""
    changes: Changes = {}
    place: dict[str, Any] = {}
    add_tags: list[str] = []
    remove_tags: list[str] = []
    emptied: int = 0

    @property
    def upserts(self) -> bool:
        """Whether an upsert is needed, besides the calls for the tags."""
        return bool(self.changes.keys() - {"tags"})


class Found(NamedTuple):
    """The leads that have a row's id, its email and its phone."""

    by_id: Lead | None
    by_email: Sequence[Lead]
    by_phone: Sequence[Lead]

    def by(self, key: Key) -> Sequence[Lead]:
        """The leads that have this key of the row."""
        return self.by_email if key == "email" else self.by_phone


class RowContent(NamedTuple):
    """The content of a row.

    - `id`: the lead that it is about
    - `fields`: its fields without defaults
    - `blank`: its fields with empty cells
    - `doubts`: its fields that cannot be sent; the row is sound when the lead has the same values
    - `unchanged`: which fields a lead has already, in whatever spelling
    """

    id: int | None
    fields: dict[str, Any]
    blank: Sequence[str] = ()
    doubts: Mapping[str, FieldError] = {}
    unchanged: Callable[[Lead], Collection[str]] = lambda _: ()


class RowRefusedError(Exception):
    """A row that is not sent, because it is not certain which lead it is about.

    `column`, `value` and `advice`: as in `RowProblem`.
    """

    def __init__(
        self,
        reason: str,
        column: str | None = None,
        value: Any = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value
        self.advice = advice


_GIVE = "add columns for them, or say what all new leads get with {defaults}"
_NO_KEY = "to change the name, give the row the lead's email or phone, as an export has it"
_FOREIGN_ID = "if the ids are those of another program, leave the column out with {ignore}"


def plan_for(
    row: RowContent,
    found: Found,
    *,
    match_by: MatchBy,
    tags_mode: TagsMode,
    is_shared: Callable[[Key, Lead], bool],
) -> RowPlan | None:
    """Return what the row changes in its lead, None for a row that creates one.

    `is_shared`: whether another lead has the same key as this lead. Raises `RowRefusedError`.
    """
    if row.id is not None:
        return _plan_by_id(row, found, tags_mode, is_shared)
    keys = [key for key in _KEYS if key in MATCH_KEYS[match_by] and found.by(key)]
    if not keys:
        return None
    first = keys[0]
    leads = found.by(first)
    if len(leads) > 1:
        raise RowRefusedError(f"its {first} {row.fields[first]} is that of {_named(leads)}")
    lead = leads[0]
    for key in keys[1:]:
        others = found.by(key)
        if all(other.id != lead.id for other in others):
            raise RowRefusedError(
                f"its {first} {row.fields[first]} is that of {_named([lead])}, and its {key}"
                f" {row.fields[key]} that of {_named(others)}"
            )
    if _is_another_person(row.fields, lead, first):
        raise RowRefusedError(
            f"its {first} {row.fields[first]} is that of {_named([lead])}, which has another name"
            " and another email"
        )
    return _plan(row, lead, tags_mode, first)


def _is_another_person(fields: Mapping[str, Any], lead: Lead, key: Key) -> bool:
    name, email = fields.get("name"), fields.get("email")
    return (
        key == "phone"
        and None not in (name, email, lead.name, lead.email)
        and not same_name(str(name), str(lead.name))
        and not _same("email", lead.email, email)
    )


def _plan_by_id(
    row: RowContent, found: Found, tags_mode: TagsMode, is_shared: Callable[[Key, Lead], bool]
) -> RowPlan:
    lead = found.by_id
    if lead is None:
        raise RowRefusedError("is no lead of the account", ID, row.id, _FOREIGN_ID)
    for key in _KEYS:
        others = found.by(key)
        if others and all(other.id != lead.id for other in others):
            raise RowRefusedError(
                f"its id is that of {_named([lead])}, and its {key} {row.fields[key]} that of"
                f" {_named(others)}"
            )
    plan = _plan(row, lead, tags_mode, None)
    _check_same_person(row, lead, plan.changes)
    if not plan.upserts:
        return plan
    for key in _KEYS:
        if getattr(lead, key) and key not in plan.changes and not is_shared(key, lead):
            return msgspec.structs.replace(plan, match_by=key, key=getattr(lead, key))
    raise RowRefusedError(
        f"lead {lead.id} cannot be changed: the server finds a lead by its email or phone, and this"
        " one has neither unchanged and for itself"
    )


def _check_same_person(row: RowContent, lead: Lead, changes: Changes) -> None:
    """Check that the name or a key of a row with an id is that of the lead."""
    given = [key for key in _KEYS if key in row.fields]
    if not {"name", *given} <= changes.keys():
        return
    if given:
        reason = f"is that of {_named([lead])}, which has another name, and no key of the row"
        raise RowRefusedError(reason, ID, row.id, _FOREIGN_ID)
    has_key = lead.email or lead.phone  # a lead without one is refused for that reason
    if has_key and not same_name(str(row.fields["name"]), lead.name or ""):
        reason = (
            f"is that of {_named([lead])}; the row has the name {row.fields['name']}, and no email"
            " or phone to show that the ids are those of this account"
        )
        raise RowRefusedError(reason, ID, row.id, f"{_NO_KEY}; {_FOREIGN_ID}")


def _plan(row: RowContent, lead: Lead, tags_mode: TagsMode, key: Key | None) -> RowPlan:
    same = row.unchanged(lead)
    fields = {name: value for name, value in row.fields.items() if name != "tags"}
    # The server finds the lead by this key, as it spells it; another spelling cannot be sent.
    same = {*same, key} if key else same
    changes = {n: change for n, change in changes_of(fields, lead).items() if n not in same}
    for name in changes.keys() & row.doubts.keys():
        doubt = row.doubts[name]
        raise RowRefusedError(doubt.reason, doubt.column, doubt.value, doubt.advice)
    held = list(dict.fromkeys(lead.tags or []))
    wanted = None if "tags" in same else row.fields.get("tags")
    add, remove = tag_changes(wanted, held, tags_mode)
    if add or remove:
        changes["tags"] = (held, [tag for tag in held if tag not in remove] + add)
    return RowPlan(
        lead.id,
        key or "email",
        str(getattr(lead, key)) if key else "",
        changes,
        {name: getattr(lead, name) for name in PLACE},
        add,
        remove,
        sum(_holds(lead, name) for name in set(row.blank)),
    )


def check_creates(lacking: Sequence[str]) -> None:
    """Check that a row of no lead can create one. Raises `RowRefusedError`.

    `lacking`: the fields that a new lead must have, and that neither row nor defaults give.
    """
    if lacking:
        reason = f"no lead has its email or phone, and a new one needs {', '.join(lacking)}"
        raise RowRefusedError(reason, advice=_GIVE)


def after_earlier_rows(row: RowContent, plan: RowPlan, sent: dict[str, Any]) -> RowPlan:
    """Return the plan of a row behind earlier rows of its lead.

    `sent`: the values that these rows send, to which those of this row are added. A field that one
    of them changes is sent again, also where the row says what the lead has now. Raises
    `RowRefusedError` when they change the key by which the lead is found.
    """
    if plan.key and sent.get(plan.match_by, plan.key) != plan.key:
        raise RowRefusedError(
            f"an earlier row changes the {plan.match_by} of lead {plan.lead_id}, by which the"
            " server finds it"
        )
    changes = dict(plan.changes)
    for name, new in _flat(row.fields).items():
        if name in sent and name != plan.match_by and name not in row.doubts:
            changes[name] = (sent[name], changes.get(name, (None, new))[1])
    sent.update((name, new) for name, (_, new) in changes.items())
    return msgspec.structs.replace(plan, changes=changes)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields without the tags, and each custom field under a name of its own."""
    plain = {name: value for name, value in fields.items() if name not in {"tags", CUSTOM}}
    return plain | {f"{CUSTOM}.{name}": value for name, value in fields.get(CUSTOM, {}).items()}


def tag_changes(
    wanted: Sequence[str] | None, held: Sequence[str], mode: TagsMode
) -> tuple[list[str], list[str]]:
    """Return the tags to add to a lead and those to remove from it."""
    if not wanted or mode == "skip":
        return [], []
    add = [tag for tag in dict.fromkeys(wanted) if tag not in held]
    return add, [tag for tag in held if tag not in wanted] if mode == "replace" else []


def _holds(lead: Lead, name: str) -> bool:
    custom, dot, field = name.partition(".")
    if custom == CUSTOM:
        known = lead.custom_fields or {}
        return not values.is_blank(known.get(field) if dot else known)
    return not values.is_blank(getattr(lead, name))


def _named(leads: Iterable[Lead]) -> str:
    """Return the leads in words: `lead 5 (Ana, ana@x.y)`."""
    texts = []
    for lead in leads:
        known = ", ".join(part for part in (lead.name, lead.email, lead.phone) if part)
        texts.append(f"lead {lead.id}" + (f" ({known})" if known else ""))
    return " and ".join(texts)


def changes_of(fields: Mapping[str, Any], lead: Lead) -> Changes:
    """Return the fields that a send would change, each with its old and its new value."""
    changes: Changes = {}
    for name, new in fields.items():
        if name == CUSTOM:
            held = lead.custom_fields or {}
            for field, value in new.items():
                if not _same(field, held.get(field), value):
                    changes[f"{CUSTOM}.{field}"] = (held.get(field), value)
        elif not _same(name, getattr(lead, name), new):
            changes[name] = (getattr(lead, name), new)
    return changes


def fields_of(changes: Changes) -> dict[str, Any]:
    """Return the new values as the fields of a request."""
    fields: dict[str, Any] = {}
    for name, (_, new) in changes.items():
        custom, dot, field = name.partition(".")
        if dot and custom == CUSTOM:
            fields.setdefault(CUSTOM, {})[field] = new
        elif name != "tags":
            fields[name] = new
    return fields


def _same(name: str, old: Any, new: Any) -> bool:
    if isinstance(new, list):
        return isinstance(old, list) and sorted(map(str, old)) == sorted(map(str, new))
    if isinstance(new, int | float) and not isinstance(new, bool):
        return _number(old) == new
    if not isinstance(old, str) or not isinstance(new, str):
        return bool(old == new)
    if name == "phone":
        return same_phone(old, new)
    if name == "email":
        return old.strip().casefold() == new.casefold()
    return old.strip() == new


def _number(value: Any) -> float | None:
    """Return the value as a number: the server may send decimals as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
