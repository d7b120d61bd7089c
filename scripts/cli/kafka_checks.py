"""What `millrace doctor` finds on Kafka: topics, the configuration, the keys it asks for, lag, and writers' clocks."""

from collections.abc import Iterable, Iterator, Mapping
from time import time_ns

from schemas.control import Deployment
from schemas.topics import CONTROL, REQUESTS, TOPICS, VALIDATED
from scripts.cli.check import Check
from scripts.cli.clock_skew import newest_record
from scripts.cli.config_consistency import inconsistencies
from scripts.cli.consumer_lag import judged, lags
from scripts.cli.control_topic import ControlState, read_control
from scripts.cli.environment import load, secrets_environment
from scripts.cli.kafka import LiveCluster, reach
from scripts.cli.offsets import newest_ms
from streams.provider_keys import ProviderKeys
from streams.runtime.cluster import Cluster, Problem
from streams.settings import InvokeSettings


def kafka_checks(bootstrap_servers: str | None) -> Iterator[Check]:
    """Raises Fault or KafkaException at the first thing that cannot be looked at."""
    cluster = reach(bootstrap_servers)
    yield Check("Kafka", f"{cluster.settings.bootstrap_servers} answers")
    yield from topics(Cluster(cluster.settings).check())
    if cluster.settings.topic(CONTROL) in cluster.topics:
        state = read_control(cluster)
        yield from configuration(state)
        yield from keys(state.view.deployments, ProviderKeys(load(InvokeSettings).secrets_dir, secrets_environment()))
    yield from judged(lags(cluster))
    yield from _clocks(cluster)


def topics(problems: Iterable[Problem]) -> Iterator[Check]:
    found = [Check(f"topic {each.topic}", each.what, each.todo) for each in problems]
    yield from found or [Check("topics", f"all {len(TOPICS)} are as they must be")]


def configuration(state: ControlState) -> Iterator[Check]:
    """Each problem is a check of its own, as each has its own way out."""
    view = state.view
    counts = f"{len(view.tenants)} tenants, {len(view.deployments)} deployments, {len(view.routes)} routes"
    if not view.is_configured:
        yield Check("configuration", counts, "apply one: millrace config apply FILE")
        return
    found = [Check("configuration", "does not fit together", each) for each in inconsistencies(view)]
    found += [
        Check("configuration", f"the newest record of {key} cannot be read", "apply it again: millrace config apply")
        for key in state.unreadable
    ]
    yield from found or [Check("configuration", f"{counts}, version {view.version}")]


def keys(deployments: Mapping[str, Deployment], secrets: ProviderKeys) -> Iterator[Check]:
    """Whether there is one, and nothing more of it."""
    for name, deployment in deployments.items():
        check = f"key of {name}"
        reference = deployment.key_ref
        if secrets.secret(reference) is not None:
            yield Check(check, f"{reference} is there")
        else:
            way_out = f"set {reference.upper()}, or put a file {reference} into MILLRACE_INVOKE_SECRETS_DIR"
            yield Check(check, f"{reference} is not visible to this process", way_out)


def _clocks(cluster: LiveCluster) -> Iterator[Check]:
    """Producers' clocks, and the workers', which date what they decide."""
    for topic in (REQUESTS, VALIDATED):
        name = cluster.settings.topic(topic)
        if name in cluster.topics:
            newest = newest_ms(cluster.settings, {name: cluster.topics[name]})
            yield newest_record(name, newest, time_ns() // 1_000_000)
