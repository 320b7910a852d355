"""What the API can do with tasks: the calls of its reference, "Tasks"."""

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

        async for task in syncro.tasks.list(status="pending"):
            print(task.due_date, task.subject)

    Arguments that are None are not sent. Every call raises `InvalidArgumentError`, naming the
    argument and sending nothing, for an argument that the reference rules out, and the other errors
    of `syncro_async.errors`. The reference does not describe how to read, change, complete or
    delete one task; `client.request()` reaches those endpoints.
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
        """Page through the account's tasks, or those that pass every filter.

        Nothing is sent before the first task is asked for.

        - `lead_id`: tasks of this lead.
        - `assigned_to`: the id of the user who is responsible.
        - `status`: `pending` or `completed`.
        - `type`: `call`, `email`, `task`, `visit`, `whatsapp` or `meeting`.
        - `priority`: `low`, `medium` or `high`.
        - `due_from`, `due_to`: due in this period; dates without a time.
        - `page_size`: tasks a page, 1 to 200 (default 200).
        - `start_page`: the first page to read, counted from 1 (default 1).
        - `max_items`: the list ends after so many tasks (None: at its end).
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
        """Create a task. The call is never sent twice by itself.

        When its answer is lost, it raises `OutcomeUnknownError`.

        - `subject`: what is to be done, not blank.
        - `type`: `call`, `email`, `task`, `visit`, `whatsapp` or `meeting`.
        - `due_date`: a date without a time.
        - `description`: a longer text.
        - `priority`: `low`, `medium` or `high`.
        - `due_time`: a time without seconds, or text such as `14:30`.
        - `lead_id`: the lead that the task is about.
        - `assigned_to`: the id of the user who is responsible.
        - `notes`: a text.
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
    """Read the new task; the reference does not say where the answer holds it.

    The API's other answers have such an object under its own name, under `data`, or beside
    `success`.
    """
    answer = _read_answer(raw)
    for task in (answer.task, answer.data):
        if task is not UNSET:
            return task
    return _read_task(raw)
