"""`python -m scripts.bench.load JOB RESULT`: carries one job out. Exit 2, with a sentence, when it cannot."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import KafkaException

from scripts.bench.cpu import ProcessGone
from scripts.bench.load import http, kafka
from scripts.bench.load.job import Heard, Job, OverHttp, OverKafka
from scripts.cli.fault import kafka_reason


def load(
    job_file: Annotated[Path, typer.Argument(help="What to send, where, and when.")],
    result_file: Annotated[Path, typer.Argument(help="Where to write what was measured.")],
) -> None:
    """Send requests by a timetable and measure what becomes of them."""
    job = Job.model_validate_json(job_file.read_bytes())
    try:
        heard = _asked(job)
    except (kafka.NotAnswered, ProcessGone) as error:
        sys.exit(str(error))
    except KafkaException as error:
        sys.exit(f"Kafka: {kafka_reason(error)}")
    unfinished = result_file.with_name(f"{result_file.name}.new")
    unfinished.write_text(heard.model_dump_json())
    unfinished.replace(result_file)


def _asked(job: Job) -> Heard:
    match job.door:
        case OverKafka() as door:
            return kafka.ask(job, door)
        case OverHttp() as door:
            return http.ask(job, door)


if __name__ == "__main__":
    typer.run(load)
