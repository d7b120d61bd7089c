"""The simulator as an ASGI application: two providers on one port, as their SDKs address them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from scripts.simulator import refusals
from scripts.simulator.anthropic_api import Messages, TokenCounts
from scripts.simulator.control import Control
from scripts.simulator.exchange import Exchange
from scripts.simulator.openai_api import ChatCompletions
from scripts.simulator.openai_embeddings import Embeddings
from scripts.simulator.prices import Catalog
from scripts.simulator.state import State


class App:
    def __init__(self, state: State) -> None:
        catalog = Catalog.load()
        self._openai = ChatCompletions(catalog)
        self._anthropic = Messages(catalog)
        dialects = (self._openai, Embeddings(catalog), self._anthropic, TokenCounts(catalog))
        self._state = state
        self._router = Router(
            routes=[
                *(Route(dialect.endpoint, Exchange(dialect, state), methods=["POST"]) for dialect in dialects),
                Route("/v1/models", self._models, methods=["GET"]),
                *Control(state).routes(),
            ],
            default=self._unknown_path,
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    async def _models(self, request: Request) -> Response:
        """Both providers have this path; Anthropic's clients always name their version of it."""
        dialect = self._anthropic if "anthropic-version" in request.headers else self._openai
        key = dialect.api_key(dict(request.headers.raw))
        if key is None or not self._state.accepts(key):
            refusal = refusals.unauthenticated(dialect.provider, given=key is not None)
            return Response(dialect.error(refusal, ""), refusal.status, media_type="application/json")
        return Response(dialect.models(), media_type="application/json")

    async def _unknown_path(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = refusals.unknown_path(scope["method"], scope["path"])
        response = Response(self._openai.error(refusal, ""), refusal.status, media_type="application/json")
        await response(scope, receive, send)
