"""Carries one dispatched request through its attempts to its completion.

Every attempt is on `llm.calls` before the provider hears of it, and again when it has ended, so that a crash leaves
a record of what may have been billed. A busy deployment is queued for, before the first row and on nobody's clock.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol, assert_never

from msgspec.structs import replace

from schemas.attempt import Attempt
from schemas.call import CallRow
from schemas.control import Deployment
from schemas.flow import Answer, Completion, Dispatch, asked_in
from schemas.prompt import Prompt
from schemas.response import Failure, Status
from schemas.usage import Cost
from streams.answers.rounds import again_for
from streams.answers.schema import schema_of
from streams.control import ControlView
from streams.cost.booking import may_cost
from streams.cost.guess import expected_usage
from streams.cost.ledger import FREE, attempt_row
from streams.invoke.allowance import Hold
from streams.invoke.attempts import answered, failed, has_run_out
from streams.invoke.beside import Aside, Awaits
from streams.invoke.deployments import Deployments
from streams.invoke.share import Share
from streams.limits import EXPECTED_OUTPUT_TOKENS
from streams.observe.logs import logger
from streams.observe.metrics import Metrics
from streams.providers.protocol import Misconfigured, NotSent, ProviderError, Question, Reply
from streams.questions import prompt_of
from streams.stages.invoke import Backoff, Call, End, Step, Wait, instead, next_step

log = logger(__name__)
LONGEST_NAP_MS = 1_000
"""While waiting for a target the configuration and the breakers are looked at again this often."""


class Providers(Protocol):
    async def ask(self, deployment: Deployment, question: Question) -> Reply:
        """Raises ProviderError and nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the caller touches of the world: time, ids, sleep."""

    now_ms: Callable[[], int]
    new_id: Callable[[], str]
    sleep_s: Callable[[float], Awaitable[None]]


Book = Callable[[CallRow], Awaitable[None]]
"""Writes a row to the ledger topic and returns when it is safe there."""


class Caller:
    def __init__(
        self,
        providers: Providers,
        control: Callable[[], ControlView],
        world: Surroundings,
        backoff: Backoff,
        metrics: Metrics,
    ) -> None:
        self._providers = providers
        self._control = control
        self._world = world
        self._backoff = backoff
        self._metrics = metrics
        self._deployments = Deployments(control, world.now_ms, world.sleep_s)

    def hold(self, share: Share) -> None:
        """The worker's part of what all deployments are asked."""
        self._deployments.hold(share)

    async def complete(self, dispatch: Dispatch, book: Book, aside: Aside = nullcontext) -> Completion:
        """Returns however it ends. Raises only when a row cannot be written, on cancellation, and, before anything is
        written, DecodeError for what is no prompt, and SetBackError.
        """
        prompt = prompt_of(dispatch.prompt)
        tokens = dispatch.input_tokens + (prompt.params.max_tokens or EXPECTED_OUTPUT_TOKENS)
        attempts: list[Attempt] = []
        settled = 0
        while True:
            step = self._next_step(dispatch, attempts, tokens)
            if settled < len(attempts) and not isinstance(step, End):
                # before any wait: whoever is cancelled in it must not leave a call that was free as unknown
                await book(self.settled_row(dispatch, attempts[-1]))
                settled = len(attempts)
                continue
            match step:
                case Wait(until_ms):
                    left_ms = until_ms - self._world.now_ms()
                    part = asked_in(dispatch.plan, dispatch.round)
                    # whatever their order, which chance may have drawn: it is one thing to wait for
                    targets = tuple(sorted({dispatch.plan.targets[index].deployment for index in part}))
                    with aside(Awaits(targets, is_new=not attempts)):
                        await self._world.sleep_s(min(max(left_ms, 1), LONGEST_NAP_MS) / 1000)
                case Call():
                    reply = await self._call(dispatch, prompt, attempts, step, tokens, book, aside)
                    if reply is not None:
                        return self._answered(dispatch, prompt, attempts, reply)
                case End():
                    return self._ended(dispatch, prompt, attempts, step)
                case _ as unreachable:
                    assert_never(unreachable)

    def settled_row(self, dispatch: Dispatch, attempt: Attempt) -> CallRow:
        """For an attempt after which another follows; the last one is priced, and booked, by `postprocess`."""
        cost = self._may_cost(dispatch, attempt) if attempt.ambiguous else FREE
        return attempt_row(dispatch.ticket, dispatch.plan, attempt, "settled", cost=cost)

    def _may_cost(self, dispatch: Dispatch, attempt: Attempt) -> Cost:
        return may_cost(self._control(), dispatch.ticket.tenant_id, dispatch.plan, attempt)

    def _next_step(
        self, dispatch: Dispatch, attempts: list[Attempt], tokens: int, *, chosen: int | None = None
    ) -> Step:
        jitter = (zlib.crc32(dispatch.ticket.identity.encode()) % 1000) / 1000
        return next_step(
            dispatch,
            attempts,
            self._deployments.seen(),
            self._world.now_ms(),
            jitter=jitter,
            backoff=self._backoff,
            foresee=self._deployments.foresee(dispatch, tokens),
            chosen=chosen,
        )

    async def _call(
        self,
        dispatch: Dispatch,
        prompt: Prompt,
        attempts: list[Attempt],
        call: Call,
        tokens: int,
        book: Book,
        aside: Aside,
    ) -> Reply | None:
        """Adds to `attempts`, unless the wait for a place has outlasted the reason to make this call."""
        name = call.target.deployment
        step: Step = call
        hold = self._deployments.take_at_once(name, tokens)
        if hold is None:
            with aside(Awaits(name, is_new=not attempts)):
                hold = await self._queued(name, dispatch, tokens)
            if hold is None:
                return None
            step = self._next_step(dispatch, attempts, tokens, chosen=call.target_index)
        if not isinstance(step, Call) or step.target_index != call.target_index:
            self._deployments.release(name, hold)
            return None
        try:
            with self._deployments.around(name):
                attempt, reply = await self._attempt(dispatch, prompt, step, book)
        except BaseException:
            self._deployments.release(name, hold)
            raise
        self._deployments.ended(hold, attempt)
        attempts.append(attempt)
        return reply

    async def _queued(self, name: str, dispatch: Dispatch, tokens: int) -> Hold | None:
        """None when the deadline comes first, or something else has."""
        deadline_ms = dispatch.ticket.deadline_ms
        left_s = None if deadline_ms is None else (deadline_ms - self._world.now_ms()) / 1000
        try:
            async with asyncio.timeout(left_s):
                return await self._deployments.take(name, dispatch, tokens)
        except TimeoutError:
            return None

    async def _attempt(
        self, dispatch: Dispatch, prompt: Prompt, call: Call, book: Book
    ) -> tuple[Attempt, Reply | None]:
        started = Attempt(
            attempt_id=self._world.new_id(),
            attempt_no=call.attempt_no,
            target_index=call.target_index,
            deployment=call.target.deployment,
            provider=call.target.provider,
            model=call.target.model,
            region=call.target.region,
            why=call.target.why,
            started_at_ms=self._world.now_ms(),
            estimated_usage=expected_usage(dispatch.input_tokens, prompt.params.max_tokens),
        )
        timeout_ms = 0
        try:
            await book(
                attempt_row(dispatch.ticket, dispatch.plan, started, "started", cost=self._may_cost(dispatch, started))
            )
            started = replace(started, started_at_ms=self._world.now_ms())
            timeout_ms = time_left_ms(dispatch, call, started.started_at_ms)
            question = Question(started.attempt_id, call.target.model, prompt, dispatch.ticket.stream, timeout_ms)
            reply = await self._providers.ask(self._deployment(call), question)
        except ProviderError as error:
            self._measure(started, error.error_class)
            log.warning(
                "attempt_failed",
                request_id=dispatch.ticket.request_id,
                tenant=dispatch.ticket.tenant_id,
                deployment=started.deployment,
                attempt_no=started.attempt_no,
                error_class=error.error_class,
                http_status=error.http_status,
                detail=error.message,
            )
            ended = failed(started, error, self._world.now_ms())
            return replace(ended, hurried=timeout_ms < dispatch.plan.timeout_ms and has_run_out(error)), None
        self._measure(started, "ok")
        return answered(started, reply, self._world.now_ms()), reply

    def _deployment(self, call: Call) -> Deployment:
        deployment = self._control().deployments.get(call.target.deployment)
        if deployment is None:
            raise Misconfigured("not_found", "the deployment is no longer configured")
        return deployment

    def _measure(self, attempt: Attempt, result: str) -> None:
        took_s = (self._world.now_ms() - attempt.started_at_ms) / 1000
        self._metrics.count("millrace_attempts_total", attempt.deployment, attempt.model, result)
        self._metrics.observe("millrace_provider_seconds", attempt.deployment, attempt.model, value=took_s)

    def _answered(self, dispatch: Dispatch, prompt: Prompt, attempts: list[Attempt], reply: Reply) -> Completion:
        last = attempts[-1]
        answer = Answer(
            output=reply.output,
            finish_reason=reply.finish_reason,
            model=reply.model_reported or last.model,
            provider=last.provider,
            deployment=last.deployment,
        )
        completion = self._completion(dispatch, attempts, answer=answer, parse_json=prompt.params.wants_json)
        if dispatch.plan.rules is None:
            return completion
        return replace(
            completion,
            json_schema=schema_of(prompt.params, dispatch.plan.rules),
            again=again_for(dispatch, answer, attempts, prompt.params, self._world.now_ms()),
        )

    def _ended(self, dispatch: Dispatch, prompt: Prompt, attempts: list[Attempt], end: End) -> Completion:
        stale = instead(dispatch, end)
        if stale is None:
            return self._completion(dispatch, attempts, status=end.status, failure=end.failure)
        completion = self._completion(
            dispatch, attempts, answer=stale.answer, failure=end.failure, parse_json=prompt.params.wants_json
        )
        return replace(completion, cache="stale", saved=stale.saved)

    def _completion(
        self,
        dispatch: Dispatch,
        attempts: list[Attempt],
        *,
        answer: Answer | None = None,
        status: Status = "ok",
        failure: Failure | None = None,
        parse_json: bool = False,
    ) -> Completion:
        return Completion(
            ticket=dispatch.ticket.stamped("invoke", self._world.now_ms()),
            status=status,
            failure=failure,
            answer=answer,
            attempts=tuple(attempts),
            slot=dispatch.slot,
            plan=dispatch.plan,
            parse_json=parse_json,
            round=dispatch.round,
        )


def time_left_ms(dispatch: Dispatch, call: Call, now_ms: int) -> int:
    """Less than was planned when writing the row took long. Raises NotSent when the deadline passed meanwhile."""
    deadline_ms = dispatch.ticket.deadline_ms
    if deadline_ms is None:
        return call.timeout_ms
    if deadline_ms <= now_ms:
        raise NotSent("timeout", "deadline_ms passed before the question could be sent.")
    return min(call.timeout_ms, deadline_ms - now_ms)
