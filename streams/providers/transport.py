"""What a failure below the protocol means: whether the question had left, and so whether it may have been billed."""

from collections.abc import Iterator

import httpx2

from streams.providers.protocol import Lost, NotSent, ProviderError

_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)


def transport_error(error: BaseException) -> ProviderError:
    """Total: whatever is not known to be harmless counts as sent."""
    causes = tuple(_causes(error))
    if any(isinstance(cause, _NEVER_SENT) for cause in causes):
        return NotSent("connection", "The provider cannot be reached: check `base_url` and the network.")
    if any(isinstance(cause, httpx2.TimeoutException | TimeoutError) for cause in causes):
        return Lost("timeout", "The provider did not answer in time: allow more time or ask for less.")
    # The JSON parsers', pydantic's and the decoders' errors are all ValueErrors.
    if any(isinstance(cause, ValueError | httpx2.DecodingError) for cause in causes):
        return Lost("malformed_response", "The provider answered with something that is not its protocol.")
    return Lost(
        "connection",
        f"The connection to the provider broke before the answer ({type(causes[-1]).__name__}); try again.",
    )


def connected_too_late(error: BaseException) -> bool:
    return any(isinstance(cause, httpx2.ConnectTimeout) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
