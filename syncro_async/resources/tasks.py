"""What may be asked about tasks: the two calls of the API reference, 'Tasks'."""

from __future__ import annotations

from datetime import date, time

from msgspec import UNSET, UnsetType

from syncro_async.models.envelope import Envelope
from syncro_async.models.task import Task
from syncro_async.models.types import TaskPriority, TaskStatus, TaskType
from syncro_async.paging.paginator import Paginator
from syncro_async.resources.arguments import optional, page_range, required
from syncro_async.resources.resource import Resource, raw, raw_page
from syncro_async.transport.json_codec import decoder_for, encode_body
from syncro_async.transport.messages import Call


class _TaskAnswer(Envelope, frozen=True, kw_only=True):
    task: Task | UnsetType = UNSET
    data: Task | UnsetType = UNSET


_read_answer = decoder_for(_TaskAnswer)
_read_task = decoder_for(Task)


class Tasks(Resource):
    """The calls about tasks, `client.tasks`.

    Arguments that are None are not sent. Every call raises `InvalidArgumentError`, naming the
    argument and sending nothing, for an argument the reference rules out, and the errors of
    `syncro_async.errors` for what the server or the way to it came to. The reference describes
    no way to read, change, complete or delete one task; `client.request()` reaches what it lacks.
    """

    @property
    def with_raw_response(self) -> RawTasks:
        """The same calls; each returns a `RawResult` with the status, headers and body."""
        return RawTasks(self)

    def list(
        self,
        *,
        lead_id: int | None = None,
        assigned_to: int | None = None,
        status: TaskStatus | None = None,
        type: TaskType | None = None,
        priority: TaskPriority | None = None,
        due_from: date | None = None,
        due_to: date | None = None,
        page_size: int = 200,
        start_page: int = 1,
        max_items: int | None = None,
    ) -> Paginator[Task]:
        """Page through the account's tasks, or those that pass every filter given.

        Nothing is sent before the first task is asked for. `due_from` and `due_to` are dates
        without a time. `page_size` is 1 to 200, `max_items` ends the list early.
        """
        filters = optional(
            lead_id=lead_id,
            assigned_to=assigned_to,
            status=status,
            type=type,
            priority=priority,
            due_from=due_from,
            due_to=due_to,
        )
        part = page_range(page_size, start_page, max_items)
        return self._paginate("/tasks", filters, Task, part)

    async def create(
        self,
        *,
        subject: str,
        type: TaskType,
        due_date: date,
        description: str | None = None,
        priority: TaskPriority | None = None,
        due_time: time | str | None = None,
        lead_id: int | None = None,
        assigned_to: int | None = None,
        notes: str | None = None,
    ) -> Task:
        """Create a task, for a lead where `lead_id` names one.

        `due_date` is a date without a time, `due_time` a time or text as `14:30`. Never sent
        twice by itself: an answer lost on the way is an `OutcomeUnknownError`.
        """
        fields = required(subject=subject, type=type, due_date=due_date) | optional(
            description=description,
            priority=priority,
            due_time=due_time,
            lead_id=lead_id,
            assigned_to=assigned_to,
            notes=notes,
        )
        call = Call("POST", "/tasks", _created, idempotent=False, body=encode_body(fields))
        return await self._send(call)


class RawTasks:
    """The calls of `client.tasks`; each returns a `RawResult`, `list` one with the first page."""

    def __init__(self, tasks: Tasks) -> None:
        self.list = raw_page(tasks.list)
        self.create = raw(tasks.create)


def _created(raw: bytes) -> Task:
    """Read the new task, whose place in the answer the reference does not tell.

    The API's other answers hold such a thing under its own name, under `data`, or beside
    `success`.
    """
    answer = _read_answer(raw)
    for task in (answer.task, answer.data):
        if task is not UNSET:
            return task
    return _read_task(raw)
