"""Faults of the embedded stack that a person can act on: the message is the whole story, no traceback needed."""


class StackError(Exception):
    """Something the embedded stack needs is missing, broken or did not start; the message says what to do."""


class JarError(StackError):
    """The pinned Kafka jars could not be fetched, or what is on disk is not what is pinned."""


class StartError(StackError):
    """A process did not come up; the message ends with the last lines of its log."""
