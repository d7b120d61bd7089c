"""What one tenant notices of another's flood, from request to response: `python -m scripts.measure.fairness`.

A whole system on this machine, with the simulated provider and a lane of few places. A trickle is sent alone, and then
again while ten thousand requests of another tenant are sent at once and wait.
"""

import argparse
import shutil
import threading
import time
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from statistics import quantiles

from schemas.base import dump_json
from schemas.response import Response
from scripts.demo.exchange import Answers, Outgoing, publish
from scripts.local.layout import RUN_FOLDER, Layout
from scripts.local.parts import Wishes
from scripts.local.stack import LocalStack
from streams.settings import KafkaSettings

CONFIG = Path(__file__).with_suffix(".toml")
PLACES = 32
LATENCY_MS = 250
PER_S = 10
AT_ONCE_PER_S = 1_000_000
FIRST_S = 10
"""Reckoned apart: so long the flood is on its way to its lane."""
PATIENCE_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.measure.fairness", description=__doc__)
    parser.add_argument("--flood", type=int, default=10_000, help="requests of the flood (default 10000)")
    parser.add_argument("--seconds", type=int, default=30, help="how long the trickle goes on (default 30)")
    wanted = parser.parse_args()
    layout = Layout(RUN_FOLDER / "fairness")
    shutil.rmtree(layout.folder, ignore_errors=True)
    simulator = ("--latency-ms", str(LATENCY_MS), "--ttft-ms", "30", "--tokens-per-s", "2000")
    wishes = Wishes(config=CONFIG, simulator=simulator, tuning={"MILLRACE_INVOKE_IN_FLIGHT_NORMAL": str(PLACES)})
    with LocalStack(layout, wishes, lambda _what: None) as stack:
        measure(stack.kafka, wanted.flood, wanted.seconds)


def measure(kafka: KafkaSettings, flood: int, seconds: int) -> None:
    answers = Answers(kafka, lambda: None)
    show("alone", trickled(kafka, answers, "alone", seconds))
    sending = threading.Thread(target=send, args=(kafka, requests("flood", "flood", flood), AT_ONCE_PER_S))
    sending.start()
    among = trickled(kafka, answers, "among", seconds)
    sending.join()
    answered = sum(response.tenant_id == "flood" for response in answers.responses)
    show("in the flood", among)
    show(f"of it, the first {FIRST_S} s", among[: FIRST_S * PER_S])
    show("of it, after them", among[FIRST_S * PER_S :])
    print(f"{answered} of {flood} requests of the flood were answered by then")
    answers.close()


def requests(tenant: str, name: str, number: int) -> list[Outgoing]:
    made = (
        {"request_id": f"{name}-{n}", "tenant_id": tenant, "messages": [{"role": "user", "content": f"{name} {n}"}]}
        for n in count()
    )
    return [Outgoing(str(each["request_id"]), tenant, dump_json(each)) for each in islice(made, number)]


def send(kafka: KafkaSettings, outgoing: Sequence[Outgoing], per_second: float) -> None:
    publish(kafka, outgoing, {}, per_second=per_second, on_sent=lambda _sent: None)


def trickled(kafka: KafkaSettings, answers: Answers, name: str, seconds: int) -> list[Response]:
    """Answers to a trickle, in the order in which it was sent."""
    outgoing = requests("trickle", name, seconds * PER_S)
    names = [str(each.request_id) for each in outgoing]
    for each in names:
        answers.expect(each)
    send(kafka, outgoing, PER_S)
    until_s = time.monotonic() + PATIENCE_S
    found: dict[str, Response] = {}
    while found.keys() < set(names) and time.monotonic() < until_s:
        answers.wait_for(quiet_s=1)
        found = {each.request_id: each for each in answers.responses if each.tenant_id == "trickle"} | found
        found = {each: found[each] for each in names if each in found}
    return [found[each] for each in names if each in found]


def show(what: str, responses: Sequence[Response]) -> None:
    took_ms = [response.timings.total_ms for response in responses]
    cuts = quantiles(took_ms, n=20)
    print(f"{what:<24}{len(took_ms):>5} answered, median {cuts[9]:>6.0f} ms, p95 {cuts[18]:>6.0f} ms")


if __name__ == "__main__":
    main()
