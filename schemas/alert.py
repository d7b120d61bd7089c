"""What `watch` tells the operator on `llm.alerts`."""

from typing import Literal

from schemas.base import EpochMs, Model

AlertName = Literal["deployment_unhealthy", "deployment_recovered", "daily_spend", "unpriced_model", "error_share"]


class Alert(Model):
    schema_version: Literal[1] = 1
    alert: AlertName
    severity: Literal["info", "warning", "critical"]
    subject: str
    message: str
    value: str
    threshold: str
    at_ms: EpochMs
