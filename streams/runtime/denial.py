"""What brokers say when they may not do as they were asked, with what to do about it."""

from confluent_kafka import KafkaError

ASK_FOR_RIGHTS = "this user lacks a right: compare what it may do with `millrace topics acls`"
_DENIED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


def is_denied(error: KafkaError) -> bool:
    return error.code() in _DENIED


def in_words(error: KafkaError) -> str:
    """The broker's or the client's own words; where it is a right that is missing, what to do."""
    return f"{error.str().rstrip('.')}; {ASK_FOR_RIGHTS}" if is_denied(error) else error.str()
