"""What a caller is told when a call is turned away for reasons that are not in its body."""

from typing import assert_never

from scripts.simulator.ask import Refusal
from scripts.simulator.faults import Refuse
from scripts.simulator.prices import Model, Provider
from scripts.simulator.quota import Quota, Standing


def for_fault(refuse: Refuse, model: Model) -> Refusal:
    match refuse.kind:
        case "429":
            return Refusal(
                429,
                "rate_limited",
                f"Rate limit reached for {model.name} on requests per min (RPM). Please try again in "
                f"{refuse.retry_after_s or 0:g}s.",
                retry_after_s=refuse.retry_after_s,
            )
        case "quota":
            return out_of_credit(model.provider)
        case "500":
            return broken(refuse.retry_after_s)
        case "503":
            message = "The engine is currently overloaded, please try again later."
            return Refusal(503, "overloaded", message, retry_after_s=refuse.retry_after_s)
        case "529":
            return Refusal(529, "overloaded", "Overloaded", retry_after_s=refuse.retry_after_s)
        case _:
            assert_never(refuse.kind)


def broken(retry_after_s: float | None = None) -> Refusal:
    message = "The server had an error while processing your request. Sorry about that!"
    return Refusal(500, "broken", message, retry_after_s=retry_after_s)


def out_of_credit(provider: Provider) -> Refusal:
    """Waiting does not help here: OpenAI says so with a 429 all the same, Anthropic with a 400."""
    match provider:
        case "openai":
            message = "You exceeded your current quota, please check your plan and billing details."
            return Refusal(429, "out_of_credit", message)
        case "anthropic":
            message = "Your credit balance is too low to access the Anthropic API."
            return Refusal(400, "out_of_credit", message)
        case _:
            assert_never(provider)


def over_limit(quota: Quota, standing: Standing, model: Model) -> Refusal:
    limit = quota.requests_per_minute if standing.exceeded == "requests" else quota.tokens_per_minute
    return Refusal(
        429,
        "rate_limited",
        f"Rate limit reached for {model.name} on {standing.exceeded} per min: limit {limit}. Please try again in "
        f"{standing.wait_s:.3f}s.",
        retry_after_s=standing.wait_s,
    )


def unauthenticated(provider: Provider, *, given: bool) -> Refusal:
    """The key itself is never repeated."""
    match provider:
        case "openai":
            message = (
                "Incorrect API key provided."
                if given
                else "You didn't provide an API key. Send it in an Authorization header: Bearer YOUR_KEY."
            )
            return Refusal(401, "unauthenticated", message)
        case "anthropic":
            return Refusal(401, "unauthenticated", "invalid x-api-key" if given else "x-api-key header is required")
        case _:
            assert_never(provider)


def not_json() -> Refusal:
    return Refusal(
        400,
        "invalid",
        "We could not parse the JSON body of your request: the API expects a JSON object. (HINT: This likely means you "
        "aren't using your HTTP library correctly.)",
    )


def too_large(most_bytes: int) -> Refusal:
    return Refusal(413, "too_large", f"Request exceeds the maximum size of {most_bytes} bytes.")


def unknown_path(method: str, path: str) -> Refusal:
    return Refusal(404, "unknown_path", f"Invalid URL ({method} {path})")
