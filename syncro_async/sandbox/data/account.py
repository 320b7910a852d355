"""The sample data of the account without its leads."""

from __future__ import annotations

from dataclasses import dataclass

# The ids of the examples in the API reference have the same meaning here.
PIPELINE_ID = 1
SECOND_PIPELINE_ID = 2
FIRST_STAGE_ID = 4
OPEN_STAGE_ID = 5
NEXT_STAGE_ID = 7
MANDATORY_TASKS_STAGE_ID = 8
WON_STAGE_ID = 10
LOST_STAGE_ID = 11
SECOND_PIPELINE_STAGE_ID = 20
LOST_REASON_ID = 3
OWNER_ID = 12
ACTIVE_SEQUENCE_ID = 1
OTHER_SEQUENCE_ID = 2
INACTIVE_SEQUENCE_ID = 3
MAIN_INSTANCE_ID = 1
OFFICIAL_INSTANCE_ID = 2
FAILING_INSTANCE_ID = 3
TEMPLATE_ID = 1
MEDIA_TEMPLATE_ID = 2
UNAPPROVED_TEMPLATE_ID = 3


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline; a `mandatory` one adds tasks that keep the lead in it."""

    id: int
    pipeline_id: int
    name: str
    is_won: bool = False
    is_lost: bool = False
    mandatory: bool = False

    @property
    def status(self) -> str:
        """The value for the filter `status`: `won`, `lost` or `open`."""
        return "won" if self.is_won else "lost" if self.is_lost else "open"

    @property
    def color(self) -> str:
        """The color of the stage on a board."""
        return {"won": "#22c55e", "lost": "#ef4444", "open": "#3b82f6"}[self.status]


@dataclass(frozen=True, slots=True)
class User:
    """A member of the account."""

    id: int
    name: str
    email: str
    role: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """A nurture sequence."""

    id: int
    name: str
    total_steps: int
    active: bool


@dataclass(frozen=True, slots=True)
class Instance:
    """A connected WhatsApp number.

    `official`: free text is allowed only within 24 h. `failing`: every message fails.
    """

    id: int
    display_name: str
    phone_number: str
    official: bool = False
    failing: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """A message template."""

    id: int
    name: str
    status: str = "APPROVED"
    needs_media: bool = False
    language: str = "pt_BR"
    instance_id: int = OFFICIAL_INSTANCE_ID


ACCOUNT = {"id": 1, "name": "ACME Imóveis", "plan": "pro"}
PIPELINES = {PIPELINE_ID: "Vendas", SECOND_PIPELINE_ID: "Pós-venda"}
STAGES = {
    stage.id: stage
    for stage in (
        Stage(FIRST_STAGE_ID, PIPELINE_ID, "Novo"),
        Stage(OPEN_STAGE_ID, PIPELINE_ID, "Proposta"),
        Stage(6, PIPELINE_ID, "Visita"),
        Stage(NEXT_STAGE_ID, PIPELINE_ID, "Negociação"),
        Stage(MANDATORY_TASKS_STAGE_ID, PIPELINE_ID, "Contrato", mandatory=True),
        Stage(WON_STAGE_ID, PIPELINE_ID, "Ganho", is_won=True),
        Stage(LOST_STAGE_ID, PIPELINE_ID, "Perdido", is_lost=True),
        Stage(SECOND_PIPELINE_STAGE_ID, SECOND_PIPELINE_ID, "Implantação"),
        Stage(21, SECOND_PIPELINE_ID, "Acompanhamento"),
        Stage(22, SECOND_PIPELINE_ID, "Renovado", is_won=True),
        Stage(23, SECOND_PIPELINE_ID, "Cancelado", is_lost=True),
    )
}
LOST_REASONS = {1: "Preço", 2: "Prazo", LOST_REASON_ID: "Concorrente"}
USERS = {
    user.id: user
    for user in (
        User(OWNER_ID, "Ana", "ana@example.com", "admin"),
        User(13, "Bruno", "bruno@example.com", "manager"),
        User(14, "Carla", "carla@example.com", "viewer"),
    )
}
SEQUENCES = {
    sequence.id: sequence
    for sequence in (
        Sequence(ACTIVE_SEQUENCE_ID, "Boas-vindas", 5, active=True),
        Sequence(OTHER_SEQUENCE_ID, "Reativação", 3, active=True),
        Sequence(INACTIVE_SEQUENCE_ID, "Campanha encerrada", 4, active=False),
    )
}
INSTANCES = {
    instance.id: instance
    for instance in (
        Instance(MAIN_INSTANCE_ID, "Vendas", "+551140028922"),
        Instance(OFFICIAL_INSTANCE_ID, "Oficial", "+551140028923", official=True),
        Instance(FAILING_INSTANCE_ID, "Filial", "+551140028924", failing=True),
    )
}
TEMPLATES = {
    template.id: template
    for template in (
        Template(TEMPLATE_ID, "lembrete_proposta"),
        Template(MEDIA_TEMPLATE_ID, "catalogo", needs_media=True),
        Template(UNAPPROVED_TEMPLATE_ID, "promocao", "PENDING"),
    )
}
