"""What `watch` tells the operator on `llm.alerts`."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import EpochMs, Model

AlertName = Literal[
    "deployment_unhealthy",
    "deployment_recovered",
    "daily_spend",
    "unpriced_model",
    "error_share",
    "budget_warning",
    "budget_exhausted",
    "spend_stopped",
]


class Alert(Model):
    schema_version: Literal[1] = 1
    alert_id: Annotated[
        str, Field(description="the same for what is told again after a crash; empty where each time counts")
    ] = ""
    alert: AlertName
    severity: Literal["info", "warning", "critical"]
    subject: str
    message: str
    value: str
    threshold: str
    at_ms: EpochMs
