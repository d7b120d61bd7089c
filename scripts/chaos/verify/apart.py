"""Nothing of one tenant is in another's output: not in an answer, not in the cache, not in a flight."""

from collections.abc import Sequence

from scripts.chaos.verify.attempts import Attempts
from scripts.chaos.verify.facts import Admitted, Cached, Completed, Responded, Seen
from scripts.chaos.verify.snapshot import Snapshot
from scripts.chaos.verify.tally import Tally
from scripts.chaos.verify.wording import where


class Apart:
    """Answers say whose they are by the marks in them. Of a question that tenants ask word for word alike, the kept
    answer says which request it was given to; it is held until that request has surely been read.
    """

    def __init__(self, attempts: Attempts) -> None:
        self.answers = Tally("answers stay apart", "no response holds another tenant's mark")
        self.cache = Tally("cache stays apart", "what is kept, asked or given again is its own tenant's")
        self._attempts = attempts
        self._tenants: dict[str, str] = {}
        self._named: list[tuple[str | None, str, str]] = []

    @property
    def tallies(self) -> Sequence[Tally]:
        return self.answers, self.cache

    def take(self, seen: Seen) -> None:
        place = where(seen.place)
        match seen.fact:
            case Responded(tenant_id=tenant, owners=owners):
                others = ", ".join(sorted(owners - {tenant}))
                self.answers.hold(f"{place}, a response to {tenant}, holds marks of {others}" if others else None)
            case Admitted(identity, namespace):
                tenant = identity.partition("/")[0]
                owner = self._tenants.setdefault(namespace, tenant)
                self.cache.hold(
                    None if owner == tenant else f"{place}: {owner} and {tenant} share the namespace {namespace}"
                )
            case Cached() as cached:
                self._keep(cached, place)
            case Completed(tenant_id=tenant, saved_from=str(request_id)):
                self._named.append((tenant, request_id, place))
            case _:
                pass

    def _keep(self, cached: Cached, place: str) -> None:
        owner = self._tenants.get(cached.namespace)
        if cached.kind == "fill":
            self._named.append((owner, cached.holder, place))
        elif owner is not None:
            tenant = cached.holder.partition("/")[0]
            self.cache.hold(None if tenant == owner else f"{place}: {tenant} is in flight in {owner}'s namespace")
        if owner is not None:
            others = ", ".join(sorted(cached.owners - {owner}))
            self.cache.hold(f"{place}, in {owner}'s namespace, holds marks of {others}" if others else None)

    def look(self, _snapshot: Snapshot) -> None:
        """Whose question it was may not be readable yet."""
        self._named = [each for each in self._named if not self._is_own(*each)]

    def _is_own(self, tenant: str | None, request_id: str, _place: str) -> bool:
        is_own = tenant is None or f"{tenant}/{request_id}" in self._attempts.first_completions
        if is_own:
            self.cache.hold(None)
        return is_own

    def waits(self) -> Sequence[str]:
        return ()

    def end(self, _snapshot: Snapshot) -> None:
        for tenant, request_id, place in self._named:
            if not self._is_own(tenant, request_id, place):
                self.cache.hold(f"{place}: the answer to {request_id} is used for {tenant}, who never asked")
        self._named = []
