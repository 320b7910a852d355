"""Makes the pages of the reference from the names that the package offers.

Each name of an `__all__` is on one page. A name that is on none, and a page about a name that is
gone, ends the build.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = "reference"


class Page(NamedTuple):
    """A page of the reference: what it is about, and the names it has, by module."""

    name: str
    title: str
    about: str
    names: dict[str, str]


PAGES = (
    Page(
        "client",
        "The client",
        "``AsyncClient`` is what programs make. The groups of calls are on the page :doc:`calls`.",
        {"syncro_async": "AsyncClient RawResult Headers Paginator UNSET __version__"},
    ),
    Page("calls", "The calls", "What a client's attributes hold, such as ``client.leads``.", {}),
    Page(
        "bulk",
        "Bulk jobs",
        "``client.bulk``, and what its jobs return.",
        {
            "syncro_async": "Bulk Plan Progress ProgressBar OnProgress Outcomes Succeeded Failed "
            "ImportSummary FailureGroup RowProblem RowChange SourceReport ColumnUse UndoSummary "
            "UndoneRow ExportReceipt SyncReceipt",
        },
    ),
    Page(
        "budget",
        "Budget and retries",
        "How many requests may go, which goes first, and which goes again.",
        {
            "syncro_async": "RateLimit Budget Lane lane Limiter RetryPolicy Clock SystemClock",
        },
    ),
    Page(
        "models",
        "Models",
        "What calls return. A field that the API did not send is None; a relation that was not "
        "asked for is ``UNSET``. Words that the reference does not list are accepted as they are.",
        {
            "syncro_async": "Lead UpsertResult Enrollment SentMessage LeadFields LeadFilters Task "
            "Pipelines Pipeline Stage LostReason CustomField WhatsAppInstance WhatsAppTemplate "
            "Account User Webhooks Webhook NewWebhook Page PageMeta UnreadableItem",
        },
    ),
    Page(
        "errors",
        "Errors",
        "Every error of this package is a ``SyncroError``. :doc:`/errors` says what to do about "
        "each.",
        {
            "syncro_async": "SyncroError ConfigurationError MissingResourceError "
            "InvalidArgumentError UnknownArgumentError BadRowsError ImportStoppedError "
            "BudgetWaitError NoAnswerError ConnectionFailedError RequestTimeoutError "
            "OutcomeUnknownError UnexpectedResponseError APIError BadRequestError "
            "AuthenticationError PermissionDeniedError AccountSuspendedError "
            "ReauthenticationRequiredError NotFoundError ConflictError UnprocessableError "
            "ValidationError StageBlockedError PendingTask PlanLimitError "
            "MessagingWindowClosedError RateLimitedError ProviderRateLimitedError ServerError "
            "ProviderError ProviderAuthenticationError ServiceUnavailableError CircuitOpenError",
        },
    ),
    Page(
        "events",
        "Events",
        "What observers are given.",
        {"syncro_async.events": "* Event Observer"},
    ),
    Page("dialects", "Dialects", "What differs between services.", {"syncro_async.dialects": "*"}),
    Page(
        "integrations",
        "Integrations",
        "For FastAPI and OpenTelemetry.",
        {
            "syncro_async.integrations.fastapi": "*",
            "syncro_async.integrations.opentelemetry": "*",
        },
    ),
    Page("fleet", "Fleets", "Jobs for many accounts.", {"syncro_async.fleet": "*"}),
    Page(
        "testing",
        "Testing kit and sandbox",
        "For tests of your own code.",
        {
            "syncro_async.testing": "*",
            "syncro_async.integrations.pytest_plugin": "*",
            "syncro_async.sandbox": "*",
        },
    ),
)
# The exceptions of the public module `errors` are those of the package.
SHOWN_ELSEWHERE = {"syncro_async.dialects": {"Dialect", "SYNCRO"}}
# What the source says of a value in a comment, or nowhere.
VALUES = {
    "UNSET": "The value of a relation that was not asked for; it is false.",
    "__version__": "The version of this package.",
    "Lane": '``"interactive"`` or ``"bulk"``: which calls go first.',
    "OnProgress": "A function that is given a `Progress` now and then.",
    "Event": "Any event of this page.",
    "Observer": "A function that is given each event. Its errors are logged and change no call.",
    "SYNCRO": "Syncro, the default.",
    "WOLFEO": "Wolfeo. :doc:`/dialects` has its codes.",
    "ROUTEMCP": "RouteMCP; ``ROUTEMCP.with_options(plan=…, provider=…, end_user_id=…)`` makes "
    "others. :doc:`/dialects` has its codes.",
    "ERROR_RESPONSES": "What the error handlers answer, for OpenAPI: "
    "``FastAPI(responses=ERROR_RESPONSES)``.",
    "SyncroDep": "The dependency that gives a handler its client: "
    "``Annotated[AsyncClient, SyncroDep]``.",
    "HAZARDS": "The faults among which ``Sandbox(hazards=…)`` chooses.",
}
# pytest calls these; no program does.
_HOOKS = {"pytest_configure"}


def offered(module: str) -> list[str]:
    """The names that a module offers: its `__all__`, else what it defines without a `_`."""
    loaded = importlib.import_module(module)
    own = [
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module
        and (inspect.isclass(value) or inspect.isroutine(value) or _is_fixture(value))
        and name not in _HOOKS
    ]
    return list(getattr(loaded, "__all__", own))


def names_on(page: Page) -> Iterator[tuple[str, str]]:
    """Each module and name of a page."""
    for module, names in page.names.items():
        for name in names.split():
            yield from ((module, each) for each in (offered(module) if name == "*" else [name]))


def missing() -> set[str]:
    """The names of the package that are on no page."""
    shown = {name for page in PAGES for module, name in names_on(page)}
    return set(offered("syncro_async")) - shown


# ------------------------------------------------------------------------------------------ writing


def _is_fixture(value: Any) -> bool:
    return type(value).__name__ == "FixtureFunctionDefinition"


def _of(module: str, name: str) -> list[str]:
    value = getattr(importlib.import_module(module), name)
    place = f"{module}.{name}"
    if _is_fixture(value):
        function = value._get_wrapped_function()  # noqa: SLF001 - pytest has no public name for it
        about = inspect.cleandoc(function.__doc__ or "").replace("\n", "\n   ")
        return ["", f".. py:function:: {name}", f"   :module: {module}", "", f"   {about}", ""]
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
        inherited = not issubclass(value, BaseException | tuple | dict)
        return [
            "",
            f".. auto{kind}:: {place}",
            "   :members:",
            "   :show-inheritance:" if kind == "exception" else "",
            "   :inherited-members: Struct, Protocol, Generic, object" if inherited else "",
        ]
    if inspect.isroutine(value):
        return ["", f".. autofunction:: {place}"]
    shown = [f"   :value: {value!r}"] if isinstance(value, int | str) else []
    said = VALUES.get(name, "")
    return ["", f".. py:data:: {name}", f"   :module: {module}", *shown, "", f"   {said}", ""]


def _calls() -> list[str]:
    from syncro_async import SYNCRO, AsyncClient

    client = AsyncClient("key")
    lines = []
    for name in sorted(SYNCRO.resources):
        kind = type(getattr(client, name))
        title = f"``client.{name}``"
        lines += [
            "",
            title,
            "-" * len(title),
            "",
            f".. autoclass:: {kind.__module__}.{kind.__name__}()",
        ]
        lines += ["   :members:", "   :inherited-members: object", "   :no-index-entry:"]
    return lines


def _written(page: Page) -> str:
    lines = [page.title, "=" * len(page.title), "", page.about, ""]
    if page.name == "calls":
        lines += _calls()
    last = ""
    for module, name in names_on(page):
        if module != last:
            lines += ["", f".. py:currentmodule:: {module}", ""]
            if len(page.names) > 1:
                title = f"``{module}``"
                lines += ["", title, "-" * len(title), ""]
            last = module
        if name not in SHOWN_ELSEWHERE.get(module, set()):
            lines += _of(module, name)
    return "\n".join(lines) + "\n"


def write_if_new(path: Path, text: str) -> None:
    """Write a page, and leave one that is the same as it is, so that it is not read again."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _generate(app: Any) -> None:
    from sphinx.errors import ExtensionError

    if lost := missing():
        raise ExtensionError(f"The reference lacks {', '.join(sorted(lost))}: add it to PAGES")
    folder = Path(app.srcdir, FOLDER)
    for page in PAGES:
        write_if_new(folder / f"{page.name}.rst", _written(page))


# ----------------------------------------------------------------------------------------- counting


def _parameters(value: Any) -> int:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return 0
    return sum(name not in {"self", "cls"} for name in signature.parameters)


def _count(_app: Any, env: Any) -> None:
    """Check that what was written has been read, and count it."""
    from sphinx.errors import ExtensionError
    from sphinx.util import logging

    known = env.domaindata["py"]["objects"]
    expected = {f"{module}.{name}" for page in PAGES for module, name in names_on(page)}
    expected -= {
        f"{module}.{name}" for module in SHOWN_ELSEWHERE for name in SHOWN_ELSEWHERE[module]
    }
    if lost := expected - known.keys():
        raise ExtensionError(f"The reference could not show {', '.join(sorted(lost))}")
    known = {name: entry for name, entry in known.items() if not entry.aliased}
    kinds = [entry.objtype for entry in known.values()]
    calls = [name for name, each in known.items() if each.objtype in {"method", "function"}]
    found = sum(_parameters(_looked_up(name)) for name in calls)
    logging.getLogger(__name__).info(
        "reference: %d classes, %d errors, %d calls with %d parameters, %d names in all",
        kinds.count("class"),
        kinds.count("exception"),
        len(calls),
        found,
        len(known),
    )


def _looked_up(name: str) -> Any:
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            value = getattr(value, part, None)
        return value
    return None


def _link(app: Any, env: Any, node: Any, shown: Any) -> Any:
    """Let the name of something public be a link to it, whatever module mentions it."""
    from sphinx.util.nodes import make_refnode

    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    entry = env.domaindata["py"]["objects"].get(f"syncro_async.{name}")
    if entry is None:
        return None
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, shown, name)


def _short(*arguments: Any) -> tuple[str, str | None] | None:
    """Write `SYNCRO` for the default dialect, and not all that it consists of."""
    from sphinx.util.inspect import object_description

    from syncro_async import SYNCRO

    signature, returned = arguments[-2:]
    if signature is None:
        return None
    return signature.replace(object_description(SYNCRO), "SYNCRO"), returned


def _bases(*arguments: Any) -> None:
    """Leave `object` out of the bases that are shown."""
    bases: list[Any] = arguments[-1]
    bases[:] = [base for base in bases if base is not object] or bases


def setup(app: Any) -> dict[str, bool]:
    """Write the pages before Sphinx looks for pages."""
    app.connect("builder-inited", _generate)
    app.connect("env-updated", _count)
    app.connect("autodoc-process-bases", _bases)
    app.connect("autodoc-process-signature", _short)
    app.connect("missing-reference", _link)
    return {"parallel_read_safe": True}
