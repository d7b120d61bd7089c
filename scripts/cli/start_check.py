"""What every long-running process makes sure of before its first event, and how it says why it had to end."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL

from confluent_kafka import KafkaException

from schemas.participants import Part, topics_of
from scripts.cli.acls import PRINCIPAL_PREFIX, part_grants
from scripts.cli.environment import variable
from scripts.cli.fault import Broken, Fault, Stopped, kafka_reason
from scripts.cli.kafka import reach
from scripts.cli.rights import missing_rights
from streams.runtime.cluster import Cluster
from streams.runtime.denial import ASK_FOR_RIGHTS
from streams.runtime.outbox import DeliveryFailedError
from streams.runtime.restore import RestoreStalledError
from streams.runtime.spill import SpilledError
from streams.runtime.worker import DrainTimeoutError
from streams.settings import KafkaSettings, ObserveSettings

OBSERVED_AT = f"{variable(ObserveSettings, 'host')} and {variable(ObserveSettings, 'port')}"
GIVE_RIGHTS = "give them as `millrace topics acls` says, where all that each stage needs is listed"
_ADDRESS_UNUSABLE = frozenset({EADDRINUSE, EADDRNOTAVAIL, EACCES})


def sound_cluster(part: Part, bootstrap_servers: str | None) -> KafkaSettings:
    """Raises Fault with every assumption that the cluster breaks and `part` relies on, and what to do about each."""
    kafka = reach(bootstrap_servers).settings
    lacks = missing_rights(kafka, list(part_grants(kafka, part, f"{PRINCIPAL_PREFIX}{part}")))
    if lacks:
        listed = "\n".join(f"  {', '.join(each.operations)} on {each.resource} {each.name}" for each in lacks)
        raise Fault(f"not started, because the user of {part} lacks rights:\n{listed}\n{GIVE_RIGHTS}")
    problems = Cluster(kafka).check(topics_of(part))
    if problems:
        listed = "\n".join(f"  {each.topic} {each.what}; {each.todo}" for each in problems)
        raise Fault(f"not started, because on this cluster promises could not be kept:\n{listed}")
    return kafka


@contextmanager
def running() -> Generator[None]:
    """What a fresh start may cure is a sentence and exit status 1; a bug is left to `streams.observe.crashes`."""
    try:
        yield
    except KafkaException as error:
        raise Stopped(f"stopped: Kafka: {kafka_reason(error)}") from error
    except (DeliveryFailedError, DrainTimeoutError, RestoreStalledError) as error:
        raise Stopped(f"stopped: {error}") from error
    except SpilledError as error:
        raise Broken(str(error)) from error
    except OSError as error:
        if error.errno not in _ADDRESS_UNUSABLE:
            raise
        raise Fault(f"{OBSERVED_AT} name an address that cannot be used: {error.strerror}; choose another") from error
    except Exception as error:
        reason = _asyncio_reason(error)
        if reason is None:
            raise
        raise Stopped(f"stopped: Kafka: {reason}") from error


def _asyncio_reason(error: Exception) -> str | None:
    """What `invoke` and `watch` were told by their client; None for what is none of its errors."""
    if "aiokafka" not in sys.modules:
        return None
    from aiokafka import errors  # noqa: PLC0415  # most processes never import it, and it takes a moment

    denied = (
        errors.TopicAuthorizationFailedError,
        errors.GroupAuthorizationFailedError,
        errors.ClusterAuthorizationFailedError,
    )
    match error:
        case _ if isinstance(error, denied):
            return f"{str(error).rstrip('.')}; {ASK_FOR_RIGHTS}"
        case errors.KafkaError():
            return str(error)
        case _:
            return None
