"""What of a lead's JSON becomes what of a `Lead`."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from syncro_async.models import (
    account,
    custom_field,
    lead,
    pipeline,
    relations,
    task,
    webhook,
    whatsapp,
)
from syncro_async.models import account as user
from syncro_async.models import lead as references
from syncro_async.models.lead import (
    Enrollment,
    Lead,
    PipelineReference,
    SentMessage,
    StageReference,
)
from syncro_async.models.relations import (
    ActiveSequence,
    Conversation,
    LeadContact,
    LeadEvent,
    LeadProduct,
    LeadSequence,
    LeadTask,
    LostSale,
    Note,
    Owner,
    Sale,
)
from syncro_async.transport.json_codec import decoder_for

TEN = datetime(2026, 6, 30, 10, tzinfo=UTC)
RELATIONS = {
    *("owner", "products", "contacts", "notes_list", "sales", "lost_sales", "tasks"),
    *("active_sequence", "sequences", "score", "score_updated_at", "siblings"),
    *("contact_totals", "events", "conversation"),
}
BASE: dict[str, Any] = {
    "id": 123,
    "name": "João Silva",
    "phone": "+5511999887766",
    "email": "joao@example.com",
    "company": "ACME",
    "birthday": "1990-01-15",
    "value": 5000.0,
    "source": "site",
    "tags": ["vip", "enterprise"],
    "pipeline_id": 1,
    "stage_id": 5,
    "notes": "Anotações do lead",
    "utm_source": "google",
    "utm_medium": "cpc",
    "utm_campaign": "verao_2026",
    "utm_term": None,
    "utm_content": None,
    "stage": {"id": 5, "name": "Proposta"},
    "pipeline": {"id": 1, "name": "Vendas"},
    "created_at": "2026-06-30T10:00:00Z",
    "custom_fields": {"tamanho_empresa": "100+"},
}
INCLUDED: dict[str, Any] = {
    "assigned_to": 12,
    "owner": {"id": 12, "name": "Ana", "email": "ana@example.com"},
    "products": [
        {
            "id": 1,
            "product_id": 7,
            "product_name": "Plano",
            "quantity": "2.50",
            "unit_price": "100.00",
            "discount_percent": 10,
            "total": 225.0,
        }
    ],
    "contacts": [
        {
            "id": 2,
            "name": "Bia",
            "role": "Compras",
            "phone": "+551130000000",
            "email": "bia@example.com",
            "is_primary": True,
        }
    ],
    "notes_list": [
        {"id": 3, "body": "Ligou", "author": "Ana", "created_at": "2026-06-30T10:00:00Z"}
    ],
    "sales": [
        {
            "id": 4,
            "pipeline_id": 1,
            "value": "7500.00",
            "closed_by": 12,
            "closed_at": "2026-06-30T10:00:00Z",
        }
    ],
    "lost_sales": [
        {
            "id": 5,
            "pipeline_id": 1,
            "reason_id": 3,
            "lost_at": "2026-06-30T10:00:00Z",
            "lost_by": {"id": 12, "name": "Ana"},
        }
    ],
    "tasks": [
        {
            "id": 6,
            "subject": "Ligar",
            "type": "call",
            "status": "pending",
            "priority": "high",
            "due_date": "2026-07-01",
            "due_time": "14:30",
            "completed_at": None,
            "assigned_to": 12,
        }
    ],
    "active_sequence": {
        "id": 1,
        "name": "Boas-vindas",
        "current_step": 2,
        "total_steps": 5,
        "status": "active",
    },
    "sequences": [
        {
            "id": 45,
            "sequence_id": 1,
            "name": "Boas-vindas",
            "status": "active",
            "next_step_at": "2026-06-30T10:00:00.000000Z",
        }
    ],
    "score": 87,
    "score_updated_at": "2026-06-30T10:00:00Z",
    "siblings": [{"id": 124, "name": "Outro negócio", "value": "10.00"}],
    "contact_totals": {"deals": 2},
    "events": [
        {
            "id": 8,
            "event_type": "stage_changed",
            "description": "Movido",
            "performed_by": None,
            "created_at": "2026-06-30T10:00:00Z",
        }
    ],
    "conversation": {
        "id": 99,
        "phone": "+5511999887766",
        "status": "open",
        "last_message_at": "2026-06-30T10:00:00Z",
        "unread_count": 3,
        "instance_id": 1,
    },
}


def decoded(**fields: Any) -> Lead:
    return decoder_for(Lead)(json.dumps({"id": 1, **fields}).encode())


def test_the_base_format_of_the_reference_is_read_whole() -> None:
    assert decoded(**BASE) == Lead(
        id=123,
        name="João Silva",
        phone="+5511999887766",
        email="joao@example.com",
        company="ACME",
        birthday=date(1990, 1, 15),
        value=5000.0,
        source="site",
        tags=["vip", "enterprise"],
        pipeline_id=1,
        stage_id=5,
        notes="Anotações do lead",
        utm_source="google",
        utm_medium="cpc",
        utm_campaign="verao_2026",
        utm_term=None,
        utm_content=None,
        stage=StageReference(id=5, name="Proposta"),
        pipeline=PipelineReference(id=1, name="Vendas"),
        created_at=TEN,
        custom_fields={"tamanho_empresa": "100+"},
    )


def test_every_relation_is_read_into_its_type() -> None:
    found = decoded(**INCLUDED)
    assert found.assigned_to == 12
    assert {name: getattr(found, name) for name in RELATIONS} == {
        "owner": Owner(id=12, name="Ana", email="ana@example.com"),
        "products": [
            LeadProduct(
                id=1,
                product_id=7,
                product_name="Plano",
                quantity=2.5,
                unit_price=100.0,
                discount_percent=10.0,
                total=225.0,
            )
        ],
        "contacts": [
            LeadContact(
                id=2,
                name="Bia",
                role="Compras",
                phone="+551130000000",
                email="bia@example.com",
                is_primary=True,
            )
        ],
        "notes_list": [Note(id=3, body="Ligou", author="Ana", created_at=TEN)],
        "sales": [Sale(id=4, pipeline_id=1, value=7500.0, closed_by=12, closed_at=TEN)],
        "lost_sales": [
            LostSale(
                id=5, pipeline_id=1, reason_id=3, lost_at=TEN, lost_by={"id": 12, "name": "Ana"}
            )
        ],
        "tasks": [
            LeadTask(
                id=6,
                subject="Ligar",
                type="call",
                status="pending",
                priority="high",
                due_date=date(2026, 7, 1),
                due_time="14:30",
                completed_at=None,
                assigned_to=12,
            )
        ],
        "active_sequence": ActiveSequence(
            id=1, name="Boas-vindas", current_step=2, total_steps=5, status="active"
        ),
        "sequences": [
            LeadSequence(
                id=45, sequence_id=1, name="Boas-vindas", status="active", next_step_at=TEN
            )
        ],
        "score": 87,
        "score_updated_at": TEN,
        "siblings": [Lead(id=124, name="Outro negócio", value=10.0)],
        "contact_totals": {"deals": 2},
        "events": [
            LeadEvent(
                id=8,
                event_type="stage_changed",
                description="Movido",
                performed_by=None,
                created_at=TEN,
            )
        ],
        "conversation": Conversation(
            id=99,
            phone="+5511999887766",
            status="open",
            last_message_at=TEN,
            unread_count=3,
            instance_id=1,
        ),
    }


def test_of_a_lead_with_nothing_but_its_id_plain_fields_are_none_and_relations_unset() -> None:
    found = decoded()
    rest = {name: getattr(found, name) for name in Lead.__struct_fields__ if name != "id"}
    assert {name for name, value in rest.items() if value is UNSET} == RELATIONS
    assert {name for name, value in rest.items() if value is None} == rest.keys() - RELATIONS
    assert set(rest) == (BASE.keys() | INCLUDED.keys()) - {"id"}


@pytest.mark.parametrize(
    "name", ["owner", "active_sequence", "conversation", "score", "score_updated_at"]
)
def test_a_relation_that_was_asked_for_and_is_null_is_none(name: str) -> None:
    assert getattr(decoded(**{name: None}), name) is None


def test_a_lead_without_an_id_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="id"):
        decoder_for(Lead)(b'{"name": "Ana"}')


@pytest.mark.parametrize("name", ["custom_fields", "contact_totals"])
class TestAMap:
    def test_that_is_empty_may_come_as_an_empty_list(self, name: str) -> None:
        assert getattr(decoded(**{name: []}), name) == {}

    def test_that_is_empty_may_come_as_an_empty_object(self, name: str) -> None:
        assert getattr(decoded(**{name: {}}), name) == {}

    def test_may_be_null(self, name: str) -> None:
        assert getattr(decoded(**{name: None}), name) is None

    def test_keeps_its_values_as_they_are(self, name: str) -> None:
        values = {"number": "5000.00", "on": True, "many": ["a", "b"], "day": "2026-01-01"}
        assert getattr(decoded(**{name: values}), name) == values

    def test_cannot_be_a_list_with_something_in_it(self, name: str) -> None:
        with pytest.raises(msgspec.ValidationError, match=name):
            decoded(**{name: ["vip"]})

    def test_is_read_the_same_way_deep_in_a_sibling(self, name: str) -> None:
        found = decoded(siblings=[{"id": 2, name: []}])
        expected: dict[str, Any] = {"id": 2, name: {}}
        assert found.siblings == [Lead(**expected)]


@pytest.mark.parametrize("sent", [5000, 5000.0, "5000", "5000.00"])
def test_a_value_may_come_as_a_number_or_as_text(sent: object) -> None:
    value = decoded(value=sent).value
    assert value == 5000.0
    assert isinstance(value, float)


def test_ids_may_come_as_text() -> None:
    found = decoded(id="7", stage_id="5", assigned_to="12", owner={"id": "12"})
    assert (found.id, found.stage_id, found.assigned_to) == (7, 5, 12)
    assert found.owner == Owner(id=12)


@pytest.mark.parametrize(("sent", "flag"), [(1, True), (0, False), ("1", True), (True, True)])
def test_a_flag_may_come_as_a_number(sent: object, flag: bool) -> None:  # noqa: FBT001
    assert decoded(contacts=[{"id": 2, "is_primary": sent}]).contacts == [
        LeadContact(id=2, is_primary=flag)
    ]


def test_text_of_digits_stays_text() -> None:
    found = decoded(phone="5511999887766", name="null", notes_list=[{"id": 1, "author": "12"}])
    assert (found.phone, found.name) == ("5511999887766", "null")
    assert found.notes_list == [Note(id=1, author="12")]


@pytest.mark.parametrize(
    "sent",
    [
        "2026-06-30T10:00:00Z",
        "2026-06-30T10:00:00.000000Z",
        "2026-06-30T07:00:00-03:00",
        "2026-06-30T10:00:00+00:00",
    ],
)
def test_a_moment_is_aware_however_it_is_written(sent: str) -> None:
    created_at = decoded(created_at=sent).created_at
    assert created_at == TEN
    assert created_at.utcoffset() is not None


def test_microseconds_are_kept() -> None:
    created_at = decoded(created_at="2026-06-30T10:00:00.123456Z").created_at
    assert created_at == TEN + timedelta(microseconds=123456)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="created_at"):
        decoded(created_at="2026-06-30T10:00:00")


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    found = decoded(novidade=[1], stage={"id": 5, "color": "#fff"}, tasks=[{"id": 6, "x": {}}])
    assert found == Lead(id=1, stage=StageReference(id=5), tasks=[LeadTask(id=6)])


def test_an_unknown_word_where_the_reference_lists_a_few_is_taken_as_it_is() -> None:
    found = decoded(tasks=[{"id": 6, "type": "telepathy", "status": "dreamt", "priority": "max"}])
    assert found.tasks == [LeadTask(id=6, type="telepathy", status="dreamt", priority="max")]


MODULES = (
    *(lead, references, relations),
    *(account, custom_field, pipeline, task, user, webhook, whatsapp),
)
STRUCTS = {
    kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
} - {pipeline.Pipelines, webhook.Webhooks, lead.Enrollment, lead.SentMessage, lead.UpsertResult}


@pytest.mark.parametrize("kind", sorted(STRUCTS, key=str))
def test_nothing_but_the_id_has_to_be_there(kind: type[msgspec.Struct]) -> None:
    assert [item.name for item in msgspec.structs.fields(kind) if item.required] == ["id"]
    assert decoder_for(kind)(b'{"id": 1}') == kind(id=1)


@pytest.mark.parametrize("kind", sorted({*STRUCTS, Enrollment, SentMessage}, key=str))
def test_only_structs_of_scalars_are_left_out_of_garbage_collection(
    kind: type[msgspec.Struct],
) -> None:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    assert kind.__struct_config__.gc != all(is_scalar(item.type) for item in info.fields)


def is_scalar(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return all(is_scalar(item) for item in kind.types)
    return isinstance(
        kind,
        msgspec.inspect.IntType
        | msgspec.inspect.FloatType
        | msgspec.inspect.StrType
        | msgspec.inspect.BoolType
        | msgspec.inspect.NoneType
        | msgspec.inspect.DateTimeType
        | msgspec.inspect.DateType,
    )


SENT = BASE | INCLUDED
ODD: dict[str, Any] = {
    "value": "5000.00",
    "custom_fields": [],
    "contact_totals": [],
    "created_at": "2026-06-30T10:00:00.000000Z",
    "assigned_to": "12",
    "score": 87.0,
}
LISTS = {name for name in RELATIONS if isinstance(INCLUDED[name], list)}


@given(
    st.dictionaries(
        st.sampled_from(sorted(SENT.keys() - {"id"})),
        st.sampled_from(["as documented", "null", "odd"]),
    ),
    st.dictionaries(st.text().map(lambda name: f"x_{name}"), st.integers() | st.none()),
)
def test_any_mixture_of_absent_null_and_odd_fields_is_read(
    shape: dict[str, str], unknown: dict[str, Any]
) -> None:
    fields = {
        name: None
        if how == "null" and name not in LISTS
        else ODD.get(name, SENT[name])
        if how == "odd"
        else SENT[name]
        for name, how in shape.items()
    }
    found = decoded(**fields, **unknown)
    whole = decoded(**SENT)
    for name in SENT.keys() - {"id"}:
        value = getattr(found, name)
        if name not in fields:
            assert value is (UNSET if name in RELATIONS else None)
        elif fields[name] is None:
            assert value is None
        else:
            assert value == ({} if fields[name] == [] else getattr(whole, name))


@given(st.sets(st.sampled_from(sorted(SENT.keys() - {"id"}))))
def test_a_lead_written_as_json_reads_back_the_same_without_what_was_not_asked_for(
    names: set[str],
) -> None:
    found = decoded(**{name: SENT[name] for name in names})
    written = msgspec.json.encode(found)
    assert decoder_for(Lead)(written) == found
    assert json.loads(written).keys() & RELATIONS == names & RELATIONS


def test_a_lead_survives_pickling_and_copying() -> None:
    found = decoded(**BASE, owner=INCLUDED["owner"])
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), copy.copy(found)):
        assert again == found
        assert again.tasks is UNSET


def test_a_lead_cannot_be_changed() -> None:
    found = decoded(name="Ana")
    with pytest.raises(AttributeError):
        found.name = "Bia"  # type: ignore[misc]  # what is tested


def test_the_repr_of_a_lead_shows_what_was_sent_and_nothing_else() -> None:
    assert repr(decoded(name="Ana", tags=["vip"])) == "Lead(id=1, name='Ana', tags=['vip'])"
