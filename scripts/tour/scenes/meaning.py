"""The same question in other words, and another question in nearly the same words."""

from collections.abc import Iterator

from scripts.tour.guide import Guide
from scripts.tour.scene import Scene, expect

_ASKED = "How do I reset my password?"
_ALIKE = "How can I reset my password?"
_DENIED = "How do I not reset my password?"
_TENANT = "tour-semantic"


def _semantic(guide: Guide) -> Iterator[str]:
    first = guide.answer(_ASKED, tenant_id=_TENANT, model="fast")
    expect(first.status == "ok", f"the first answer was {first.status}")
    if not guide.metric("cache", "millrace_semantic_total", "unlike"):  # it came before the model was loaded
        guide.answer(_ASKED, tenant_id=_TENANT, model="fast", cache="refresh")
    alike = guide.answer(_ALIKE, tenant_id=_TENANT, model="fast")
    expect(alike.cache == "semantic", f"“{_ALIKE}” was answered from: {alike.cache}")
    yield f"“{_ASKED}” was asked and paid for"
    yield f"“{_ALIKE}” means the same ({alike.similarity:.3f}) and has that answer: {alike.saved_usd:f} USD saved"
    refused = guide.metric("cache", "millrace_semantic_total", "refused")
    denied = guide.answer(_DENIED, tenant_id=_TENANT, model="fast")
    expect(denied.cache == "none", f"“{_DENIED}” was answered from: {denied.cache}")
    expect(guide.metric("cache", "millrace_semantic_total", "refused") > refused, "nothing was refused")
    yield f"“{_DENIED}” is nearly as similar to a model of sentences; the guard saw the “not”: it was asked"


SEMANTIC = Scene("semantic", "A question in other words has the answer that is there; its opposite has not", _semantic)
