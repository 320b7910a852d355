"""A keyword argument that does not exist is refused with names that are similar."""

from __future__ import annotations

import inspect
import pydoc
from operator import attrgetter
from typing import Any, get_type_hints

import pytest

from syncro_async import AsyncClient
from syncro_async.errors import UnknownArgumentError
from syncro_async.resources.keywords import check_names


def test_a_similar_name_is_named() -> None:
    with pytest.raises(
        UnknownArgumentError, match=r"unknown argument 'tag' for list; .*: tags$"
    ) as one:
        check_names("list", ["q", "tag"], ["q", "tags"])
    assert one.value.argument == "tag"
    assert isinstance(one.value, TypeError)


def test_without_a_similar_name_there_is_no_hint() -> None:
    with pytest.raises(UnknownArgumentError, match=r"unknown argument 'xyz' for list$"):
        check_names("list", ["xyz"], ["q", "tags"])


FILTERS = (
    "pipeline_id stage_id assigned_to source status tags q updated_since created_from created_to"
    " include"
)
DETAILS = (
    "phone email value source tags notes utm_source utm_medium utm_campaign utm_term utm_content"
    " assigned_to custom_fields"
)
SHOWN = {
    "leads.list": f"{FILTERS} page_size start_page max_items",
    "leads.with_raw_response.list": f"{FILTERS} page_size start_page max_items",
    "leads.create": f"name pipeline_id stage_id {DETAILS}",
    "leads.upsert": f"name pipeline_id stage_id {DETAILS} match_by",
    "bulk.export_leads": f"destination {FILTERS} page_size max_items",
    "bulk.plan_export": f"{FILTERS} page_size max_items",
}


def find(dotted: str) -> Any:
    return attrgetter(dotted)(AsyncClient("key"))


@pytest.mark.parametrize("dotted", SHOWN)
def test_signature_and_help_show_every_name(dotted: str) -> None:
    signature = inspect.signature(find(dotted))
    names = list(signature.parameters)
    expected = SHOWN[dotted].split()
    assert names[: len(expected)] == expected
    assert all(each.kind is not each.VAR_KEYWORD for each in signature.parameters.values())
    assert signature.parameters["tags"].annotation == "str | Iterable[str] | None"
    text = pydoc.plain(pydoc.render_doc(find(dotted)))
    assert all(f"{name}:" in text for name in expected)


@pytest.mark.parametrize("dotted", SHOWN)
def test_the_hints_can_be_read(dotted: str) -> None:
    assert "return" in get_type_hints(find(dotted))


@pytest.mark.parametrize("dotted", [name for name in SHOWN if name != "leads.create"])
async def test_an_unknown_name_is_refused_with_a_similar_one(dotted: str) -> None:
    destination = ["leads.csv"] if dotted == "bulk.export_leads" else []
    with pytest.raises(UnknownArgumentError, match=r"'assigned'.*: assigned_to") as caught:
        await find(dotted)(*destination, assigned=5)
    assert caught.value.argument == "assigned"


async def test_a_new_lead_refuses_it_too() -> None:
    with pytest.raises(UnknownArgumentError, match=r"'emial' for a lead.*: email"):
        await find("leads.create")(name="A", pipeline_id=1, stage_id=1, emial="a@b")
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'stage_id'"):
        find("leads.create")(name="A", pipeline_id=1)


def test_known_names_pass() -> None:
    check_names("list", ["q"], ["q", "tags"])
