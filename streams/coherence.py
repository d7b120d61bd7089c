"""Whether a prompt refers to what is not there. Its fields are valid each, and every provider would refuse it: so it is
not let in, before it uses up a limit or a call. What but one of them refuses is not looked at.
"""

from schemas.prompt import AssistantMessage, NamedTool, ToolMessage
from schemas.request import Request
from schemas.response import Failure


def incoherent(request: Request) -> Failure | None:
    """What to tell whoever sent it: nothing of the prompt is repeated."""
    return _stray_result(request) or _unknown_choice(request)


def _stray_result(request: Request) -> Failure | None:
    called: set[str] = set()
    for at, message in enumerate(request.messages):
        if isinstance(message, AssistantMessage):
            called.update(call.id for call in message.tool_calls)
        elif isinstance(message, ToolMessage) and message.tool_call_id not in called:
            field = f"messages.{at}.tool_call_id"
            why = "answers no call: send the assistant's message with that id in its tool_calls before it"
            return Failure(code="invalid_request", message=f"{field} {why}", field=field)
    return None


def _unknown_choice(request: Request) -> Failure | None:
    """Without any tools there is nothing to choose from, and the choice is not sent along."""
    tools, choice = request.params.tools, request.params.tool_choice
    if not tools or not isinstance(choice, NamedTool):
        return None
    if any(tool.function.name == choice.function.name for tool in tools):
        return None
    field = "params.tool_choice.function.name"
    why = "names none of params.tools: name one of them, or add the tool"
    return Failure(code="invalid_request", message=f"{field} {why}", field=field)
