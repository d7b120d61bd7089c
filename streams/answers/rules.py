"""Which rules an answer is held to: what its route says, and where that says nothing, its tenant."""

from schemas.control import Route
from schemas.postprocess import AnswerRules, JudgeRule, PostProcess
from streams.control import ControlView

_SAYS_NOTHING = PostProcess()
_NO_RULES = AnswerRules()


def rules_for(control: ControlView, tenant_id: str | None, route: Route) -> AnswerRules | None:
    """None where nothing is to be done."""
    asked, known = (tenant_id, route.name), control.answer_rules
    if asked not in known:
        tenant = control.tenants.get(tenant_id or "")
        known[asked] = together(_SAYS_NOTHING if tenant is None else tenant.postprocess, route)
    return known[asked]


def together(tenant: PostProcess, route: Route) -> AnswerRules | None:
    said = tenant.model_dump(exclude_none=True) | route.postprocess.model_dump(exclude_none=True)
    confidence = said.pop("confidence", None)
    if confidence is not None:
        said |= {"confidence_field": confidence["field"], "min_confidence": confidence["at_least"]}
    if route.judge is not None:
        said["judge"] = JudgeRule(at_least=route.judge.at_least, instruction=route.judge.instruction)
    return None if AnswerRules(**said) == _NO_RULES else AnswerRules(**said, cascade=route.cascade)


def may_find_wanting(rules: AnswerRules | None) -> bool:
    """Whether there is an answer that would not pass."""
    if rules is None:
        return False
    is_read = rules.structure != "off" or rules.min_chars > 0 or rules.min_confidence > 0
    is_read = is_read or (rules.judge is not None and rules.judge.at_least > 0)
    return is_read or "require" in (rules.refusal, rules.truncation)
