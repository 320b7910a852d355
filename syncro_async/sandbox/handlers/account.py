"""The endpoints for account, users, pipelines and WhatsApp numbers and templates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncro_async.sandbox.data.account import (
    ACCOUNT,
    INSTANCES,
    LOST_REASONS,
    MAIN_INSTANCE_ID,
    PIPELINES,
    STAGES,
    TEMPLATES,
    USERS,
)
from syncro_async.sandbox.responses import Response, json_response

if TYPE_CHECKING:
    from syncro_async.sandbox.request import ApiRequest


def show_account(request: ApiRequest) -> Response:
    """`GET /account`."""
    return json_response({"success": True, "account": ACCOUNT | request.wire.undocumented_fields()})


def list_users(request: ApiRequest) -> Response:
    """`GET /users`."""
    data = [
        {"id": user.id, "name": user.name, "email": user.email, "role": user.role}
        | request.wire.undocumented_fields()
        for user in USERS.values()
    ]
    return json_response({"success": True, "data": data})


def list_pipelines(request: ApiRequest) -> Response:
    """`GET /pipelines`."""
    pipelines = [
        {
            "id": pipeline_id,
            "name": name,
            "stages": [
                {
                    "id": stage.id,
                    "name": stage.name,
                    "color": stage.color,
                    "is_won": stage.is_won,
                    "is_lost": stage.is_lost,
                }
                for stage in STAGES.values()
                if stage.pipeline_id == pipeline_id
            ],
        }
        | request.wire.undocumented_fields()
        for pipeline_id, name in PIPELINES.items()
    ]
    reasons = [{"id": reason_id, "name": name} for reason_id, name in LOST_REASONS.items()]
    return json_response({"success": True, "pipelines": pipelines, "lost_reasons": reasons})


def list_instances(request: ApiRequest) -> Response:
    """`GET /whatsapp/instances`."""
    data = [
        {
            "id": one.id,
            "provider": "cloud_api" if one.official else "waha",
            "display_name": one.display_name,
            "phone_number": one.phone_number,
            "is_primary": one.id == MAIN_INSTANCE_ID,
            "status": "connected",
            "supports_templates": one.official,
            "supports_buttons": one.official,
            "has_window_restriction": one.official,
        }
        | request.wire.undocumented_fields()
        for one in INSTANCES.values()
    ]
    return json_response({"success": True, "data": data})


def list_templates(request: ApiRequest) -> Response:
    """`GET /whatsapp/templates`; only these two fields of a template are documented."""
    form = request.filters()
    wanted = {
        "instance_id": form.integer("instance_id"),
        "status": form.text("status"),
        "language": form.text("language"),
    }
    form.validate()
    data = [
        {"id": one.id, "name": one.name} | request.wire.undocumented_fields()
        for one in TEMPLATES.values()
        if all(value in (None, getattr(one, name)) for name, value in wanted.items())
    ]
    return json_response({"success": True, "data": data})
