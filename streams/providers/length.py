"""How long an answer may be. The time of a call is bounded, but in that time a faulty endpoint can send gigabytes."""

from collections.abc import Mapping

MIB = 1024 * 1024
WHOLE_BYTES = 64 * MIB
"""Ten times what fits on a topic of ours."""
STREAM_BYTES = 256 * MIB
"""A million tokens, each in an event of its own."""
PLAIN = "identity"
"""The only encoding that is asked for. What is packed is a thousand times as long when it is unpacked, and a single
piece of it may fill the memory before anybody can count.
"""


class AnswerTooLong(ValueError):
    """Read as what it is: not an answer in the provider's protocol."""


class AnswerPacked(ValueError):
    """Nor is this: nobody asked for it."""


def most_bytes(headers: Mapping[str, str]) -> int:
    """Of the body that follows these headers, looked up by lower-case names. Raises AnswerPacked."""
    if headers.get("content-encoding", PLAIN).lower() != PLAIN:
        raise AnswerPacked("the answer is packed")
    return STREAM_BYTES if "event-stream" in headers.get("content-type", "") else WHOLE_BYTES
