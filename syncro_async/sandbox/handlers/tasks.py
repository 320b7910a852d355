"""The endpoints for tasks (API reference, 'Tasks')."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.data.account import USERS
from syncro_async.sandbox.request import page_meta, requested_page
from syncro_async.sandbox.responses import Response, json_response

if TYPE_CHECKING:
    from syncro_async.sandbox.data.tasks import TaskRecord
    from syncro_async.sandbox.request import ApiRequest
    from syncro_async.sandbox.validation import Form

    Filter = Callable[[TaskRecord], bool]

_TYPES = ("call", "email", "task", "visit", "whatsapp", "meeting")
_PRIORITIES = ("low", "medium", "high")
_END_OF_DAY = "23:59"
_MINUTES = len("2026-06-30T10:00")
_COPIED = (
    *("id", "subject", "description", "type", "status", "priority", "due_date", "due_time"),
    *("lead_id", "assigned_to", "notes"),
)


def list_tasks(request: ApiRequest) -> Response:
    """`GET /tasks`."""
    form = request.filters()
    page, per_page = requested_page(form)
    filters = _filters(form)
    form.validate()
    tasks = [task for task in request.store.tasks.all() if all(fits(task) for fits in filters)]
    first = (page - 1) * per_page
    data = [_to_json(request, task) for task in tasks[first : first + per_page]]
    meta = page_meta(len(tasks), page, per_page)
    return json_response(
        {"success": True, "data": data, "meta": meta | request.wire.undocumented_fields()}
    )


def create_task(request: ApiRequest) -> Response:
    """`POST /tasks`; its response is not documented and has the form of that for a new lead."""
    form = request.form()
    for name in ("subject", "type", "due_date"):
        form.require(name)
    sent = {
        **{name: form.text(name) for name in ("subject", "description", "notes")},
        "type": form.choice("type", _TYPES),
        "priority": form.choice("priority", _PRIORITIES),
        "due_date": form.day("due_date"),
        "due_time": form.time("due_time"),
        "lead_id": form.integer("lead_id", among=request.store.leads),
        "assigned_to": form.integer("assigned_to", among=USERS),
    }
    form.validate()
    fields = {name: value for name, value in sent.items() if value is not None}
    task = request.store.tasks.add({"lead_id": None, "assigned_to": None, **fields}, request.at)
    lead = request.store.leads.get(task["lead_id"])
    if lead is not None:
        lead.encoded.clear()
    return json_response({"success": True, "task": _to_json(request, task)}, 201)


def _filters(form: Form) -> list[Filter]:
    filters: list[Filter] = []
    for name in ("lead_id", "assigned_to"):
        _equal(filters, name, form.integer(name))
    for name in ("status", "type", "priority"):
        _equal(filters, name, form.text(name))
    due_from, due_to = form.day("due_from"), form.day("due_to")
    if due_from is not None:
        filters.append(lambda task: task["due_date"] >= due_from)
    if due_to is not None:
        filters.append(lambda task: task["due_date"] <= due_to)
    return filters


def _equal(filters: list[Filter], name: str, wanted: Any) -> None:
    if wanted is not None:
        filters.append(lambda task: bool(task[name] == wanted))


def _to_json(request: ApiRequest, task: TaskRecord) -> dict[str, Any]:
    lead = request.store.leads.get(task["lead_id"])
    user = USERS.get(task["assigned_to"])
    due = f"{task['due_date']}T{task['due_time'] or _END_OF_DAY}"
    fields = {name: task[name] for name in _COPIED}
    fields["lead"] = lead and {name: lead[name] for name in ("id", "name", "phone", "email")}
    fields["assigned_user"] = user and {"id": user.id, "name": user.name}
    # The time zone of `due_date` is not documented; here it is UTC.
    fields["is_overdue"] = task["status"] == "pending" and due < request.at[:_MINUTES]
    for name in ("completed_at", "created_at", "updated_at"):
        fields[name] = request.wire.moment(task[name])
    return fields | request.wire.undocumented_fields()
