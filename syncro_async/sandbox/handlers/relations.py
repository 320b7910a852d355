"""The relations that `include` adds to a lead (API reference, 'Leads', 'Extra relations')."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncro_async.sandbox.data.account import SEQUENCES, USERS
from syncro_async.sandbox.data.sample_leads import sample_count

if TYPE_CHECKING:
    from syncro_async.sandbox.data.lead_record import LeadRecord
    from syncro_async.sandbox.data.store import Store
    from syncro_async.sandbox.serialization import Serializer

_OF_A_TASK = (
    *("id", "subject", "type", "status", "priority", "due_date", "due_time", "completed_at"),
    "assigned_to",
)
_PRODUCTS = (("Plano Anual", 1200.0), ("Treinamento", 350.0), ("Suporte", 99.9))


@dataclass(frozen=True, slots=True)
class RelationContext:
    """A lead, the store of its relations, and their serializer."""

    store: Store
    lead: LeadRecord
    wire: Serializer


def _owner(of: RelationContext) -> dict[str, Any]:
    user = USERS.get(of.lead["assigned_to"])
    owner = user and {"id": user.id, "name": user.name, "email": user.email}
    return {"assigned_to": of.lead["assigned_to"], "owner": owner}


def _products(of: RelationContext) -> dict[str, Any]:
    products = []
    for number in range(_sample_count(of)):
        name, price = _PRODUCTS[number]
        quantity = 1 + (of.lead["id"] + number) % 4
        discount = 10.0 * number
        products.append(
            {
                "id": of.lead["id"] * 10 + number,
                "product_id": number + 1,
                "product_name": name,
                "quantity": quantity,
                "unit_price": of.wire.decimal(price),
                "discount_percent": of.wire.decimal(discount),
                "total": of.wire.decimal(round(price * quantity * (1 - discount / 100), 2)),
            }
        )
    return {"products": products}


def _contacts(of: RelationContext) -> dict[str, Any]:
    contacts = [
        {
            "id": of.lead["id"] * 10 + number,
            "name": f"Contato {number + 1} de {of.lead['name']}",
            "role": "Compras" if number else "Direção",
            "phone": of.lead["phone"],
            "email": f"contato{number + 1}.{of.lead['id']}@example.com",
            "is_primary": number == 0,
        }
        for number in range(_sample_count(of))
    ]
    return {"contacts": contacts}


def _notes(of: RelationContext) -> dict[str, Any]:
    notes = [
        {
            "id": of.lead["id"] * 10 + number,
            "body": f"Ligação {number + 1}: pediu retorno.",
            "author": USERS[12 + number].name,
            "created_at": of.wire.moment(of.lead["created_at"]),
        }
        for number in range(_sample_count(of))
    ]
    return {"notes_list": notes}


def _sales(of: RelationContext) -> dict[str, Any]:
    lead_id = of.lead["id"]
    return {
        "sales": [
            sale
            | {
                "value": of.wire.decimal(sale["value"]),
                "closed_at": of.wire.moment(sale["closed_at"]),
            }
            for sale in of.store.sales.get(lead_id, ())
        ],
        "lost_sales": [
            loss | {"lost_at": of.wire.moment(loss["lost_at"])}
            for loss in of.store.lost_sales.get(lead_id, ())
        ],
    }


def _tasks(of: RelationContext) -> dict[str, Any]:
    return {
        "tasks": [
            {name: task[name] for name in _OF_A_TASK}
            | {"completed_at": of.wire.moment(task["completed_at"])}
            for task in of.store.tasks.of(of.lead["id"])
        ]
    }


def _sequences(of: RelationContext) -> dict[str, Any]:
    active = None
    enrolled = []
    for one in of.store.enrollments.get(of.lead["id"], ()):
        sequence = SEQUENCES[one["sequence_id"]]
        enrolled.append(
            {
                "id": one["id"],
                "sequence_id": sequence.id,
                "name": sequence.name,
                "status": one["status"],
                "next_step_at": of.wire.moment(one["next_step_at"]),
            }
        )
        if one["status"] == "active":
            active = {
                "id": sequence.id,
                "name": sequence.name,
                "current_step": one["current_step"],
                "total_steps": sequence.total_steps,
                "status": one["status"],
            }
    return {"active_sequence": active, "sequences": enrolled}


def _score(of: RelationContext) -> dict[str, Any]:
    return {
        "score": of.lead["score"],
        "score_updated_at": of.wire.moment(of.lead["score_updated_at"]),
    }


def _siblings(of: RelationContext) -> dict[str, Any]:
    # The reference documents no shape; here the siblings are leads, and the totals are sums.
    same = [
        other
        for other in of.store.leads.values()
        if other["id"] != of.lead["id"]
        and any(
            of.lead[key] is not None and other[key] == of.lead[key] for key in ("phone", "email")
        )
    ]
    total = sum((deal["value"] or 0.0 for deal in (of.lead, *same)), 0.0)
    return {
        "siblings": [of.wire.lead(other) for other in same],
        "contact_totals": {"leads": len(same) + 1, "value": of.wire.decimal(total)},
    }


def _events(of: RelationContext) -> dict[str, Any]:
    created = {
        "id": 1_000_000 + of.lead["id"],
        "event_type": "created",
        "description": "Lead criado",
        "performed_by": USERS[12].name,
        "created_at": of.lead["created_at"],
    }
    return {
        "events": [
            event | {"created_at": of.wire.moment(event["created_at"])}
            for event in (created, *of.store.events.get(of.lead["id"], ()))
        ]
    }


def _conversation(of: RelationContext) -> dict[str, Any]:
    if not of.store.has_conversation(of.lead):
        return {"conversation": None}
    known = of.store.conversation(of.lead)
    last = of.wire.moment(known["last_message_at"])
    return {"conversation": known | {"phone": of.lead["phone"], "last_message_at": last}}


_LIST_RELATIONS: dict[str, Callable[[RelationContext], dict[str, Any]]] = {
    "owner": _owner,
    "products": _products,
    "contacts": _contacts,
    "notes": _notes,
    "sales": _sales,
    "tasks": _tasks,
    "sequences": _sequences,
    "score": _score,
}
_LEAD_ONLY_RELATIONS = {"events": _events, "conversation": _conversation, "siblings": _siblings}
_ALL = _LIST_RELATIONS | _LEAD_ONLY_RELATIONS


def list_relations(include: str | None) -> frozenset[str]:
    """The relations for a list, from a comma-separated text; unknown ones are ignored."""
    return _tokens(include).intersection(_LIST_RELATIONS)


def lead_relations(include: str | None) -> frozenset[str]:
    """The relations for one lead, from a comma-separated text; unknown ones are ignored."""
    return _tokens(include).intersection(_ALL)


def related(names: frozenset[str], of: RelationContext) -> dict[str, Any]:
    """The fields that the named relations add to a lead."""
    fields: dict[str, Any] = {}
    for name in sorted(names):
        fields.update(_ALL[name](of))
    return fields


def _tokens(include: str | None) -> frozenset[str]:
    return frozenset(token.strip() for token in (include or "").split(","))


def _sample_count(of: RelationContext) -> int:
    return sample_count(of.lead["id"], of.store.samples)
