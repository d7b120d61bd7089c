"""The process that moves `llm.calls` into ClickHouse."""

from sinks.clickhouse import ClickHouseSink
from sinks.settings import ClickHouseSettings
from streams.clock import now_ms
from streams.garbage import keep_garbage_young
from streams.observe.crashes import tell_crashes
from streams.observe.health import ObservationServer, Progress
from streams.observe.logs import configure_logging
from streams.observe.metrics import Metrics
from streams.process import CLOSE_S, stop_on_signal
from streams.runtime.kafka import ConfluentClients
from streams.runtime.sink_worker import CONFIRM_S, LAST_WRITE_MS, NAME, SinkWorker
from streams.runtime.spill import Spill
from streams.settings import KafkaSettings, ObserveSettings, SinkSettings, WorkerSettings

_OBJECTS_PER_ROW = 20
"""Some eight are made, and freed with the batch: the collector need not come in between."""


def run_sink(
    kafka: KafkaSettings,
    clickhouse: ClickHouseSettings,
    settings: SinkSettings,
    worker: WorkerSettings,
    observe: ObserveSettings,
) -> None:
    """Blocks until SIGTERM or SIGINT. Raises what must end the process."""
    configure_logging(NAME, observe.log_level)
    tell_crashes()
    metrics = Metrics()
    progress = Progress(now_ms, observe.stall_s * 1000)
    with ObservationServer(observe.host, observe.port, progress.health, metrics) as server:
        server.write_port(observe.port_file)
        stop = stop_on_signal(LAST_WRITE_MS / 1000 + CONFIRM_S + CLOSE_S)
        moving = SinkWorker(
            ClickHouseSink(clickhouse),
            ConfluentClients(kafka),
            kafka,
            settings,
            Spill(NAME, worker, by_batch=True),
            now_ms=now_ms,
            metrics=metrics,
            progress=progress,
        )
        keep_garbage_young(_OBJECTS_PER_ROW * settings.batch_rows)
        moving.run(stop)
