"""The custom fields and their endpoint (API reference, 'Custom fields')."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from syncro_async.sandbox.responses import Response, json_response

if TYPE_CHECKING:
    from syncro_async.sandbox.request import ApiRequest


@dataclass(frozen=True, slots=True)
class CustomField:
    """One definition, with the fields of the response."""

    id: int
    name: str
    label: str
    field_type: str
    options: tuple[str, ...] = ()
    is_required: bool = False
    is_active: bool = True
    show_on_card: bool = False
    sort_order: int = 0


CUSTOM_FIELDS = (
    CustomField(
        1,
        "tamanho_empresa",
        "Tamanho da empresa",
        "select",
        ("1-10", "11-50", "51-100", "100+"),
        show_on_card=True,
        sort_order=1,
    ),
    CustomField(2, "segmento", "Segmento", "text", sort_order=2),
    CustomField(3, "orcamento", "Orçamento", "currency", sort_order=3),
    CustomField(4, "data_retorno", "Data de retorno", "date", sort_order=4),
    CustomField(5, "aceita_contato", "Aceita contato", "checkbox", sort_order=5),
    CustomField(
        6, "interesses", "Interesses", "multiselect", ("crm", "funil", "whatsapp"), sort_order=6
    ),
    CustomField(7, "fax", "Fax", "text", is_active=False, sort_order=7),
)


def list_custom_fields(request: ApiRequest) -> Response:
    """`GET /custom-fields`; with `active_only`, only active ones."""
    only_active = request.query.get("active_only") in ("1", "true")
    shown = [field for field in CUSTOM_FIELDS if field.is_active or not only_active]
    return json_response({"success": True, "data": [asdict(field) for field in shown]})
