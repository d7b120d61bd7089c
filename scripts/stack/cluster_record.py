"""What the directory of an embedded cluster remembers of it: its id and the ports its clients know."""

from base64 import urlsafe_b64encode
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from scripts.stack.broker_config import NodePorts
from scripts.stack.errors import StackError


class ClusterRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster_id: str
    nodes: tuple[NodePorts, ...]


def read_record(path: Path, brokers: int) -> ClusterRecord | None:
    """The record of a cluster of that many brokers, None in a new directory. Raises StackError for any other."""
    try:
        record = ClusterRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StackError(f"{path} is damaged: delete {path.parent} to start with an empty cluster") from error
    if len(record.nodes) != brokers:
        raise StackError(
            f"{path.parent} holds a cluster of {len(record.nodes)} brokers, not {brokers}: "
            "start it with that many, or choose another directory"
        )
    return record


def kafka_uuid(raw: bytes) -> str:
    """16 bytes as Kafka writes ids: 22 characters of URL-safe base64, never with the leading dash of an option."""
    return urlsafe_b64encode(bytes([raw[0] & 0x7F, *raw[1:]])).decode("ascii").rstrip("=")
