"""What operators have taken back of the answers that are kept: known for as long as such an answer could turn up."""

from schemas.cached import Fill, Invalidated
from schemas.topics import CACHE
from streams.questions import chosen_namespace

KNOWN_FOR_MS = CACHE.retention_ms
"""No answer is kept for longer, nor is its record, whenever it came to what had been asked before."""

_Scope = tuple[str, str | None, str | None]


class TakenBack:
    """By tenant, namespace and response; of several about the same the latest."""

    def __init__(self) -> None:
        self._before_ms: dict[_Scope, int] = {}

    def add(self, event: Invalidated, now_ms: int) -> None:
        scope = (event.tenant_id, event.namespace, event.response)
        self._before_ms[scope] = max(event.before_ms, self._before_ms.get(scope, 0))
        for scope, before_ms in list(self._before_ms.items()):
            if before_ms + KNOWN_FOR_MS < now_ms:
                del self._before_ms[scope]

    def covers(self, fill: Fill) -> bool:
        """Also one that is stored only now, where its question was asked before."""
        if not self._before_ms:
            return False
        tenant_id, _, rest = fill.namespace.partition("/")
        name = rest.partition(":")[0] if ":" in rest else None
        response = fill.saved.request_id
        scopes = {(tenant_id, named, answered) for named in (None, name) for answered in (None, response)}
        since_ms = max((self._before_ms.get(scope, 0) for scope in scopes), default=0)
        return asked_ms(fill) <= since_ms


def asked_ms(fill: Fill) -> int:
    return fill.asked_at_ms or fill.stored_at_ms


def may_concern(event: Invalidated, entry: str) -> bool:
    """By what an entry begins with; whether it does is seen in its answer."""
    if event.namespace is None:
        return entry.startswith(f"{event.tenant_id}/")
    return entry.startswith(chosen_namespace(event.tenant_id, event.namespace))
