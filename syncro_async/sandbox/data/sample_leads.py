"""Sample leads with Brazilian names; the same seed gives the same leads."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from syncro_async.sandbox.data.account import (
    FIRST_STAGE_ID,
    LOST_STAGE_ID,
    MANDATORY_TASKS_STAGE_ID,
    NEXT_STAGE_ID,
    OPEN_STAGE_ID,
    OWNER_ID,
    STAGES,
    WON_STAGE_ID,
)
from syncro_async.sandbox.data.lead_record import LeadRecord

# The first lead is an ordinary one in an open stage; each of the others has a special property.
ORDINARY_LEAD_ID = 1
BLOCKED_LEAD_ID = 2
CLOSED_WINDOW_LEAD_ID = 3
NO_PHONE_LEAD_ID = 4
SIBLING_LEAD_IDS = (5, 6)
WON_LEAD_ID = 7
LOST_LEAD_ID = 8
BARE_LEAD_ID = 9
COMPLETE_LEAD_ID = 10

_FIRST_NAMES = (
    "Ana João Maria José Antônio Francisca Carlos Adriana Paulo Juliana Pedro Márcia Lucas "
    "Fernanda Luiz Patrícia Marcos Aline Gabriel Sandra Rafael Camila Daniel Amanda Marcelo "
    "Bruna Bruno Jéssica Eduardo Letícia Felipe Júlia Raimundo Luciana Rodrigo Vanessa Manoel "
    "Mariana Mateus Gabriela André Vera Fernando Vitória Fábio Larissa Leonardo Cláudia Gustavo "
    "Beatriz Guilherme Rita Leandro Sônia Tiago Renata Anderson Eliane Ricardo Conceição Márcio "
    "Íris Jorge Simone"
)
_SURNAMES = (
    "Silva Santos Oliveira Souza Rodrigues Ferreira Alves Pereira Lima Gomes Costa Ribeiro "
    "Martins Carvalho Almeida Lopes Soares Fernandes Vieira Barbosa Rocha Dias Nascimento "
    "Andrade Moreira Nunes Marques Machado Mendes Freitas Cardoso Ramos Gonçalves Santana "
    "Teixeira Araújo Conceição Cavalcanti Moura Azevedo Brandão Magalhães Guimarães Assunção "
    "Galvão Simões Falcão Leão"
)
_TRADES = ("Padaria", "Clínica", "Auto Peças", "Construtora", "Escola", "Farmácia", "Studio", None)
_SOURCES = ("site", "instagram", "indicacao", "google", "whatsapp", "evento")
_TAGS = ("vip", "enterprise", "recorrente", "urgente", "feirão", "frio")
_SIZES = ("1-10", "11-50", "51-100", "100+")
_AREA_CODES = (11, 21, 31, 41, 47, 48, 51, 61, 62, 71, 81, 85)
_STAGES = (
    FIRST_STAGE_ID,
    OPEN_STAGE_ID,
    6,
    NEXT_STAGE_ID,
    20,
    21,
    WON_STAGE_ID,
    LOST_STAGE_ID,
    22,
    23,
)

_FIRST_CREATED_AT = datetime(2025, 9, 1, 8, 0, 0, tzinfo=UTC)
_CREATION_RANGE = 300 * 24 * 60
_MINUTES_BETWEEN = 13
# Coprime to 100,000,000, so that no two leads have the same phone number.
_PHONE_STEP = 7_919


def sample_leads(count: int, seed: int) -> Iterator[LeadRecord]:
    """Create `count` leads with ids from 1."""
    random = Random(seed)  # noqa: S311 - sample data must be reproducible
    names = [
        (first, last, _ascii(f"{first}.{last}"))
        for first in _FIRST_NAMES.split()
        for last in _SURNAMES.split()
    ]
    for lead_id in range(1, count + 1):
        lead = _lead(lead_id, random.getrandbits(64), names)
        special = _SPECIAL.get(lead_id)
        if special is not None:
            lead.update(special)
        yield LeadRecord(lead)


def sample_count(lead_id: int, samples: int) -> int:
    """The number of related records of each kind: 0 to 2 for a sample lead, 0 for a new one."""
    if lead_id == COMPLETE_LEAD_ID:
        return 2
    return lead_id % 3 if lead_id <= samples else 0


def moment(value: datetime) -> str:
    """A datetime in the format of the API, in whole seconds."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _lead(lead_id: int, bits: int, names: list[tuple[str, str, str]]) -> dict[str, Any]:
    bits, name = divmod(bits, len(names))
    bits, stage = divmod(bits, len(_STAGES))
    bits, trade = divmod(bits, len(_TRADES))
    bits, source = divmod(bits, len(_SOURCES))
    bits, tag = divmod(bits, len(_TAGS) * 2)
    bits, birthday = divmod(bits, 15_000)
    bits, value = divmod(bits, 400)
    first, last, address = names[name]
    phone = lead_id * _PHONE_STEP % 100_000_000
    created = _FIRST_CREATED_AT + timedelta(minutes=lead_id * _MINUTES_BETWEEN % _CREATION_RANGE)
    at = f"{created:%Y-%m-%dT%H:%M:%S}Z"
    trade_name = _TRADES[trade]
    return {
        "id": lead_id,
        "name": f"{first} {last}",
        "phone": f"+55{_AREA_CODES[bits % len(_AREA_CODES)]}9{phone:08}",
        "email": f"{address}.{lead_id}@example.com",
        "company": trade_name and f"{trade_name} {last}",
        "birthday": f"{1960 + birthday % 45}-{1 + birthday % 12:02}-{1 + birthday % 28:02}",
        "value": value * 50.0,
        "source": _SOURCES[source],
        "tags": list(_TAGS[tag : tag + 1 + birthday % 2]),
        "pipeline_id": STAGES[_STAGES[stage]].pipeline_id,
        "stage_id": _STAGES[stage],
        "notes": None,
        "utm_source": "google" if source % 2 else None,
        "utm_medium": "cpc" if source % 2 else None,
        "utm_campaign": "verao_2026" if source % 2 else None,
        "utm_term": None,
        "utm_content": None,
        "created_at": at,
        "custom_fields": {"tamanho_empresa": _SIZES[value % 4]} if value % 3 else {},
        "assigned_to": OWNER_ID + birthday % 3,
        "updated_at": at,
        "score": bits % 101,
        "score_updated_at": at,
    }


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return plain.lower()


_SPECIAL: dict[int, dict[str, Any]] = {
    ORDINARY_LEAD_ID: {"pipeline_id": 1, "stage_id": OPEN_STAGE_ID},
    BLOCKED_LEAD_ID: {"pipeline_id": 1, "stage_id": MANDATORY_TASKS_STAGE_ID},
    CLOSED_WINDOW_LEAD_ID: {"pipeline_id": 1, "stage_id": OPEN_STAGE_ID},
    NO_PHONE_LEAD_ID: {"pipeline_id": 1, "stage_id": OPEN_STAGE_ID, "phone": None},
    **{
        lead_id: {
            "pipeline_id": 1,
            "stage_id": FIRST_STAGE_ID,
            "name": "Íris Conceição",
            "phone": "+5511999887766",
            "email": "iris.conceicao@example.com",
        }
        for lead_id in SIBLING_LEAD_IDS
    },
    WON_LEAD_ID: {"pipeline_id": 1, "stage_id": WON_STAGE_ID},
    LOST_LEAD_ID: {"pipeline_id": 1, "stage_id": LOST_STAGE_ID},
    BARE_LEAD_ID: {
        **dict.fromkeys(
            (
                *("phone", "email", "company", "birthday", "value", "source", "notes"),
                *("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"),
                *("assigned_to", "score", "score_updated_at"),
            )
        ),
        "tags": [],
        "custom_fields": {},
    },
    COMPLETE_LEAD_ID: {
        "pipeline_id": 1,
        "stage_id": WON_STAGE_ID,
        "company": "ACME",
        "value": 5000.0,
        "tags": ["vip", "enterprise"],
        "notes": "Anotações do lead",
        "utm_source": "google",
        "utm_medium": "cpc",
        "utm_campaign": "verao_2026",
        "utm_term": "crm",
        "utm_content": "banner",
        "custom_fields": {"tamanho_empresa": "100+", "interesses": ["crm", "funil"]},
        "assigned_to": OWNER_ID,
    },
}
