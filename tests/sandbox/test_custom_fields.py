from __future__ import annotations

import httpx

from syncro_async.sandbox import Sandbox


async def test_custom_fields_are_listed_with_their_types(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/custom-fields")).json()
    assert answer["success"] is True
    fields = {field["name"]: field for field in answer["data"]}
    assert fields["tamanho_empresa"] == {
        "id": 1,
        "name": "tamanho_empresa",
        "label": "Tamanho da empresa",
        "field_type": "select",
        "options": ["1-10", "11-50", "51-100", "100+"],
        "is_required": False,
        "is_active": True,
        "show_on_card": True,
        "sort_order": 1,
    }
    kinds = {field["field_type"] for field in answer["data"]}
    assert kinds == {"select", "text", "currency", "date", "checkbox", "multiselect"}


async def test_those_out_of_use_may_be_left_out(api: httpx.AsyncClient) -> None:
    for word in ("1", "true"):
        answer = await api.get("/custom-fields", params={"active_only": word})
        assert "fax" not in {field["name"] for field in answer.json()["data"]}
    answer = await api.get("/custom-fields", params={"active_only": "0"})
    assert "fax" in {field["name"] for field in answer.json()["data"]}


async def test_an_upsert_finds_its_lead_by_what_it_is_called_now(
    api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.leads[3]["email"] = "new@example.com"
    sandbox.leads[4]["email"] = None
    for email, lead_id in (("new@example.com", 3), ("other@example.com", None)):
        body = {"email": email, "name": "X", "pipeline_id": 1, "stage_id": 4}
        answer = (await api.post("/leads/upsert", json=body)).json()
        assert answer["created"] is (lead_id is None)
        assert lead_id in {None, answer["lead"]["id"]}
    await api.delete("/leads/3")
    body = {"email": "new@example.com", "name": "X", "pipeline_id": 1, "stage_id": 4}
    assert (await api.post("/leads/upsert", json=body)).json()["created"] is True
