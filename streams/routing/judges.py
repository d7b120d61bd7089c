"""Who may be asked what they think of an answer: found by the very functions that find who may give one."""

from msgspec.structs import replace

from schemas.flow import Needs, Target
from streams.control import ControlView
from streams.routing.choice import Choice
from streams.routing.choose import Selection, select
from streams.routing.qualify import Inquiry

VERDICT_TOKENS = 256
"""Of a judge's answer. It is a number, but some models think before they say it."""
_ASKING_TOKENS = 600
"""What a judge is told beside question and answer, at most."""


def judges_for(choice: Choice, inquiry: Inquiry, control: ControlView) -> tuple[Target, ...]:
    """None that its tenant's data may not go to, that cannot read so much or costs more than a cap allows."""
    if choice.judge is None:
        return ()
    return tuple(replace(target, why=_why(target)) for target in select_judges(choice.judge, inquiry, control).targets)


def select_judges(judge: Choice, inquiry: Inquiry, control: ControlView) -> Selection:
    return select(judge, inquiry_about(inquiry), control)


def inquiry_about(inquiry: Inquiry) -> Inquiry:
    """What a judge is asked about it: to read question and answer, and to say a number."""
    needs = Needs(max_tokens=VERDICT_TOKENS, max_cost_usd=inquiry.needs.max_cost_usd)
    tokens = inquiry.input_tokens + inquiry.output_tokens + _ASKING_TOKENS
    return replace(inquiry, needs=needs, input_tokens=tokens)


def _why(target: Target) -> str:
    """So that rows tell a judge's call from an answer."""
    return "judge" if target.why is None else f"judge, {target.why}"
