"""How long a worker reads its state back, and how much memory it takes: `python -m scripts.measure.restore`.

One worker that holds every partition of a real broker's tables, each in a process of its own.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.measure.tables import TABLES, write
from scripts.stack.broker import start_cluster
from streams.clock import now_ms
from streams.observe.metrics import Metrics
from streams.runtime.cluster import Cluster
from streams.runtime.follower import ControlFollower
from streams.runtime.kafka import ConfluentClients
from streams.runtime.partition import PartitionWork
from streams.runtime.recall import recall
from streams.runtime.restore import TableReader
from streams.settings import KafkaSettings
from streams.topology import SYNCHRONOUS

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Restored:
    records: int
    seconds: float
    cpu_s: float
    memory_mb: float
    """By which the process grew."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.measure.restore", description=__doc__)
    for name, count in {"registrations": 1_000_000, "answers": 100_000, "objects": 10_000}.items():
        parser.add_argument(f"--{name}", type=int, default=count, help=f"how many (default {count})")
    counts: dict[str, int] = vars(parser.parse_args())
    with TemporaryDirectory() as folder, start_cluster(Path(folder)) as cluster:
        kafka = KafkaSettings(bootstrap_servers=cluster.bootstrap_servers, partitions=PARTITIONS)
        Cluster(kafka).apply()
        print(f"{'table':<14}{'records':>10}{'seconds':>9}{'CPU s':>7}{'records/CPU s':>15}{'MB':>7}{'bytes each':>12}")
        for name, found in measured(kafka, {name: count for name, count in counts.items() if count}):
            per_s, each = found.records / found.cpu_s, found.memory_mb * 1e6 / found.records
            print(
                f"{name:<14}{found.records:>10}{found.seconds:>9.1f}{found.cpu_s:>7.1f}{per_s:>15.0f}"
                f"{found.memory_mb:>7.0f}{each:>12.0f}"
            )


def measured(kafka: KafkaSettings, counts: dict[str, int]) -> Iterator[tuple[str, Restored]]:
    for name, count in counts.items():
        write(kafka, TABLES[name], count, now_ms())
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            yield name, process.submit(restore, kafka, name).result()


def restore(kafka: KafkaSettings, name: str) -> Restored:
    """Everything that is on the table, into the state of a worker that owns all partitions."""
    clients, before_mb = ConfluentClients(kafka), _resident_mb()
    started_s, cpu_s = time.monotonic(), time.process_time()
    # what was built is returned, so that it is still there when the memory is looked at
    records, kept = _follow(clients, kafka) if name == "objects" else _read_back(clients, kafka, name)
    seconds, used_s = time.monotonic() - started_s, time.process_time() - cpu_s
    grown_mb = _resident_mb() - before_mb
    del kept
    return Restored(records, seconds, used_s, grown_mb)


def _follow(clients: ConfluentClients, kafka: KafkaSettings) -> tuple[int, object]:
    follower = ControlFollower(clients, kafka)
    while not follower.is_current:
        follower.follow(1.0)
    follower.close()
    return len(follower.view.tenants), follower.view


def _read_back(clients: ConfluentClients, kafka: KafkaSettings, name: str) -> tuple[int, object]:
    stage = SYNCHRONOUS[TABLES[name].stage]
    held = {partition: PartitionWork(stage.state()) for partition in range(PARTITIONS)}
    reader = TableReader(clients, stage.name, Metrics())
    ends = reader.read(
        kafka.topic(TABLES[name].topic),
        dict.fromkeys(held),
        lambda record: recall(TABLES[name].topic, held[record.partition], record, now_ms()),
    )
    reader.close()
    return sum(ends.values()), held


def _resident_mb() -> float:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
