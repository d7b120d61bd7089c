"""The operator's side of the simulator: faults at run time, what has been counted, and the bill."""

from collections.abc import Iterator

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.simulator.faults import Plan, Rule
from scripts.simulator.state import State


class _PlanChange(BaseModel):
    """A whole new plan, or the new rules of one model; no rules means no faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...]
    model: str | None = None

    def applied_to(self, plan: Plan) -> Plan:
        return Plan(rules=self.rules) if self.model is None else plan.with_model(self.model, self.rules)


class Control:
    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/_control/faults", self._show_plan, methods=["GET"]),
            Route("/_control/faults", self._change_plan, methods=["POST"]),
            Route("/_control/faults", self._drop_plan, methods=["DELETE"]),
            Route("/_control/stats", self._stats, methods=["GET"]),
            Route("/_control/reset", self._reset, methods=["POST"]),
            Route("/_bill", self._bill, methods=["GET"]),
            Route("/_bill", self._clear_bill, methods=["DELETE"]),
            Route("/_bill/lines", self._bill_lines, methods=["GET"]),
        ]

    async def _health(self, _: Request) -> Response:
        return _json({"status": "ok"})

    async def _show_plan(self, _: Request) -> Response:
        return _json(self._state.faults.plan.model_dump(exclude_none=True))

    async def _change_plan(self, request: Request) -> Response:
        try:
            change = _PlanChange.model_validate_json(await request.body())
            self._state.faults.plan = change.applied_to(self._state.faults.plan)
        except ValidationError as error:
            return _json({"error": "; ".join(complaints(error))}, 400)
        return _json(self._state.faults.plan.model_dump(exclude_none=True))

    async def _drop_plan(self, _: Request) -> Response:
        self._state.faults.plan = Plan()
        return Response(status_code=204)

    async def _stats(self, _: Request) -> Response:
        return _json(self._state.stats.shown())

    async def _reset(self, _: Request) -> Response:
        """As after a start without faults: nothing planned, cached, repeated or billed. Counts go on."""
        self._state.faults.plan = Plan()
        self._state.faults.forget()
        self._state.cache.clear()
        self._state.bill.clear()
        return Response(status_code=204)

    async def _bill(self, _: Request) -> Response:
        return _json(self._state.bill.summary())

    async def _bill_lines(self, _: Request) -> Response:
        return Response(b"".join(self._state.bill.lines()), media_type="application/x-ndjson")

    async def _clear_bill(self, _: Request) -> Response:
        self._state.bill.clear()
        return Response(status_code=204)


def complaints(error: ValidationError) -> Iterator[str]:
    """What is wrong with each field, in words for whoever wrote it."""
    for item in error.errors(include_url=False):
        where = ".".join(map(str, item["loc"]))
        message = item["msg"].removeprefix("Value error, ")
        yield f"{where}: {message}" if where else message


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
