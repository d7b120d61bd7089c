"""The command line on a real broker: what it creates, writes, reads back and finds."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.base import dump_json
from schemas.partition import partition_for
from schemas.response import Output, Response, Timings
from schemas.topics import CALLS, CONTROL, DEAD_LETTERS, DISPATCH, REQUESTS, RESPONSES, TOPICS, Topic
from schemas.wire import Origin
from scripts.cli import kafka as cli_kafka
from scripts.cli.consumer_lag import lags
from scripts.cli.kafka import LiveCluster, reach
from scripts.cli.topic_reader import TopicReader
from scripts.local.parts import SAMPLE_CONFIG
from streams.runtime.clients import consumer_config
from streams.runtime.cluster import Cluster
from streams.runtime.deadletter import dead_letter_headers
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter
from streams.settings import KafkaSettings
from tests.integration.millrace import Millrace, Scribe, environment_of

pytestmark = pytest.mark.integration

OLD_MS = 1_795_000_000_000
LONELY = {
    "request_id": "r-lonely",
    "tenant_id": "local",
    "messages": [{"role": "user", "content": "is anybody there?"}],
}


@pytest.fixture(autouse=True)
def _away_from_any_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def millrace(kafka: KafkaSettings) -> Millrace:
    return Millrace({**environment_of(kafka), "MILLRACE_CLICKHOUSE_PORT": "1"})  # where nobody answers


@pytest.fixture
def scribe(kafka: KafkaSettings) -> Scribe:
    """On a cluster without any topic yet."""
    return Scribe(kafka)


@pytest.fixture
def history(scribe: Scribe) -> Scribe:
    """On a cluster that has what an audit reads."""
    scribe.make(REQUESTS, RESPONSES, DEAD_LETTERS, fenced=False)
    return scribe


def answer(request_id: str, origin: Origin, *, tenant_id: str | None = "local") -> bytes:
    return Response(
        request_id=request_id,
        tenant_id=tenant_id,
        origin=origin,
        status="ok",
        output=Output(content="Yes, somebody is."),
        timings=Timings(total_ms=12, provider_ms=10, added_ms=2, stages={}),
        answered_at_ms=time.time_ns() // 1_000_000,
        config_version=0,
    ).encode()


class TestLanes:
    def test_each_lane_has_its_backlog_and_a_wait_that_nobody_can_say_while_none_ends(
        self, millrace: Millrace, scribe: Scribe
    ) -> None:
        scribe.make(*DISPATCH.values(), fenced=False)
        for partition in (0, 1):
            scribe.write(DISPATCH["low"], b"{}", partition=partition)

        ended = millrace("lanes", "--seconds", "0.5", "--json")

        quiet = {"waiting": 0, "ended_per_s": 0.0, "wait_s": 0.0}
        assert ended.json == [
            {"lane": "high", **quiet},
            {"lane": "normal", **quiet},
            {"lane": "low", "waiting": 2, "ended_per_s": 0.0, "wait_s": None},
        ]


class TestTopics:
    def test_apply_creates_all_of_them_and_a_second_time_none(self, millrace: Millrace, kafka: KafkaSettings) -> None:
        first, second = millrace("topics", "apply", "--json"), millrace("topics", "apply")
        assert (first.status, second.status) == (0, 0)
        assert set(first.json["created"]) == {kafka.topic(topic) for topic in TOPICS}
        assert second.out == f"0 created, {len(TOPICS)} were there\n"

    def test_show_counts_what_is_on_them(self, millrace: Millrace, kafka: KafkaSettings, scribe: Scribe) -> None:
        Cluster(kafka).apply()
        for partition in (0, 1, 1):
            scribe.write(REQUESTS, b"{}", partition=partition)
        shown = millrace("topics", "show", "--json").json
        by_name = {each["topic"]: each for each in shown["topics"]}
        assert (by_name[kafka.topic(REQUESTS)]["messages"], by_name[kafka.topic(REQUESTS)]["partitions"]) == (3, 2)
        assert by_name[kafka.topic(CONTROL)]["partitions"] == 1
        assert shown["problems"] == []
        assert f"{kafka.topic(RESPONSES)} " in millrace("topics", "show").out

    def test_show_names_what_is_missing(self, millrace: Millrace, kafka: KafkaSettings) -> None:
        shown = millrace("topics", "show")
        assert shown.status == 0
        assert "missing" in shown.out
        assert f"{kafka.topic(REQUESTS)} does not exist; run: millrace topics apply" in shown.out


class TestAClusterThatBreaksAnAssumption:
    @pytest.fixture
    def narrow(self, kafka: KafkaSettings) -> str:
        """Every topic has one partition, where two are needed."""
        Cluster(kafka.model_copy(update={"partitions": 1})).apply()
        return f"{kafka.topic(CALLS)} has 1 partitions, 2 are needed"

    def test_apply_leaves_it_alone_and_says_what_differs(self, millrace: Millrace, narrow: str) -> None:
        ended = millrace("topics", "apply")
        assert ended.status == 1
        assert narrow in ended.out

    @pytest.mark.parametrize(
        ("command", "topic"), [(("stage", "validate"), REQUESTS), (("sink",), CALLS), (("watch",), CALLS)]
    )
    def test_no_process_starts_on_it(
        self, millrace: Millrace, narrow: str, kafka: KafkaSettings, command: tuple[str, ...], topic: Topic
    ) -> None:
        ended = millrace(*command)
        assert ended.status == 2
        assert narrow.replace(kafka.topic(CALLS), kafka.topic(topic)) in ended.err
        assert "Traceback" not in ended.err

    def test_the_doctor_finds_it(self, millrace: Millrace, narrow: str, kafka: KafkaSettings) -> None:
        ended = millrace("doctor", "--json")
        found = {each["name"]: each for each in ended.json}
        assert ended.status == 1
        assert f"{kafka.topic(CALLS)} {found[f'topic {kafka.topic(CALLS)}']['found']}" == narrow
        assert found["Kafka"]["ok"]
        assert found["configuration"]["todo"] == "apply one: millrace config apply FILE"
        assert not found["ClickHouse"]["ok"]


class TestConfig:
    @pytest.fixture(autouse=True)
    def _topics(self, scribe: Scribe) -> None:
        scribe.make(CONTROL)

    def test_what_a_file_says_is_written_once_and_shown(self, millrace: Millrace) -> None:
        first, second = (millrace("config", "apply", str(SAMPLE_CONFIG)) for _ in range(2))
        assert (first.status, second.status, second.out) == (0, 0, "nothing to change\n")
        assert "tenant/acme" in first.out
        shown = millrace("config", "show", "--json").json
        names = {f"{each['kind']}/{each['name']}" for each in shown["objects"]}
        assert {"tenant/acme", "deployment/openai-main", "route/default"} <= names
        assert shown["version"] == len(names) - 1
        assert "route/fast" in millrace("config", "show").out

    def test_only_the_object_that_differs_is_written(self, millrace: Millrace, tmp_path: Path) -> None:
        millrace("config", "apply", str(SAMPLE_CONFIG))
        path = tmp_path / "changed.toml"
        path.write_text(SAMPLE_CONFIG.read_text().replace('tier = "trial"', 'tier = "paid"'))
        ended = millrace("config", "apply", str(path))
        assert 'tier: "trial" -> "paid"' in ended.out
        assert ended.out.splitlines()[-1].startswith("1 written and acknowledged; ")
        assert len([line for line in ended.out.splitlines() if line.startswith(("add", "change", "remove"))]) == 2

    def test_what_is_not_in_the_file_goes_only_when_it_is_pruned(self, millrace: Millrace, tmp_path: Path) -> None:
        millrace("config", "apply", str(SAMPLE_CONFIG))
        less = tmp_path / "less.toml"
        text = SAMPLE_CONFIG.read_text()
        less.write_text(text[: text.index('[[route]]\nname = "classify"')] + text[text.index("# Everything else") :])
        assert millrace("config", "apply", str(less)).out == "nothing to change\n"
        dry = millrace("config", "apply", str(less), "--prune", "--dry-run")
        assert dry.out.splitlines()[-1] == "2 would be written"
        assert millrace("config", "apply", str(less), "--prune").status == 0
        names = {each["name"] for each in millrace("config", "show", "--json").json["objects"]}
        assert names.isdisjoint({"classify", "extract"})
        assert "summarise" in names

    def test_a_value_can_be_given(self, millrace: Millrace) -> None:
        address = "http://127.0.0.1:8081/v1"
        assert millrace("config", "apply", str(SAMPLE_CONFIG), "--set", f"openai_base_url={address}").status == 0
        objects = millrace("config", "show", "--json").json["objects"]
        assert address in {each.get("base_url") for each in objects}

    def test_a_file_with_a_mistake_changes_nothing(self, millrace: Millrace, tmp_path: Path) -> None:
        path = tmp_path / "wrong.toml"
        path.write_text(SAMPLE_CONFIG.read_text() + '\n[[tenant]]\nname = "x"\nopn = true\n')
        ended = millrace("config", "apply", str(path))
        assert (ended.status, ended.out) == (2, "")
        assert ended.err == f"millrace: {path}: tenant x: opn is not a known field: did you mean open?\n"
        assert millrace("config", "show", "--json").json["objects"] == []

    def test_a_record_that_cannot_be_read_is_named(self, millrace: Millrace, scribe: Scribe) -> None:
        scribe.write(CONTROL, b"not json", key=b"tenant/acme")
        assert "tenant/acme: its newest record cannot be read" in millrace("config", "show").out


class TestPublishAndAudit:
    def test_what_comes_on_standard_input_is_published_and_then_waits(
        self, millrace: Millrace, history: Scribe, kafka: KafkaSettings
    ) -> None:
        assert history
        question = {"question_id": 81, "category": "writing", "turns": ["Write a post."]}
        ended = millrace("publish", "-", text=dump_json(LONELY) + b"\n\n" + dump_json(question) + b"\n")
        assert ended.status == 0
        assert ended.out.splitlines()[0] == f"2 requests published to {kafka.topic(REQUESTS)}"
        waiting = millrace("audit", "--json")
        assert waiting.status == 0
        assert (waiting.json["requests"], len(waiting.json["open"]), waiting.json["missing"]) == (2, 2, [])
        assert "2 requests are still open" in millrace("audit").out
        overdue = millrace("audit", "--open-within", "0s", "--json")
        assert (overdue.status, len(overdue.json["missing"])) == (1, 2)

    def test_a_key_goes_into_the_header_of_every_request(
        self, millrace: Millrace, history: Scribe, kafka: KafkaSettings, tmp_path: Path
    ) -> None:
        assert history
        (tmp_path / "acme.key").write_text("acme-demo-key\n")
        (tmp_path / "requests.jsonl").write_bytes(dump_json(LONELY) + b"\n" + dump_json(LONELY))
        assert millrace("publish", "requests.jsonl", "--key-file", "acme.key", "--rate", "1000").status == 0
        with TopicReader(LiveCluster(kafka, Cluster(kafka).existing()), REQUESTS) as reader:
            records = list(reader.read(reader.spans()))
        assert [each.headers for each in records] == [(("authorization", b"Bearer acme-demo-key"),)] * 2
        assert {each.partition for each in records} == {partition_for(b"local", kafka.partitions)}

    def test_what_was_sent_before_a_line_that_cannot_be_read_is_counted(
        self, millrace: Millrace, history: Scribe
    ) -> None:
        assert history
        ended = millrace("publish", "-", text=dump_json(LONELY) + b"\nnot json\n")
        assert ended.status == 2
        assert ended.out.startswith("1 requests published")
        assert ended.err.startswith("millrace: standard input, line 2 is not JSON")

    def test_a_history_is_sound_when_everything_is_answered_once(
        self, millrace: Millrace, history: Scribe, kafka: KafkaSettings
    ) -> None:
        asked_ms = time.time_ns() // 1_000_000 - 86_400_000
        first = history.write(REQUESTS, dump_json(LONELY), timestamp_ms=asked_ms)
        history.write(REQUESTS, dump_json(LONELY), timestamp_ms=asked_ms)
        broken = history.write(REQUESTS, b"not json", partition=1, timestamp_ms=asked_ms)
        cause = Delivery(kafka.topic(REQUESTS), 1, broken, None, b"not json", (), OLD_MS)
        headers = dead_letter_headers(cause, "validate", DeadLetter("no_request_id", "nobody to answer"), OLD_MS)
        history.write(DEAD_LETTERS, b"not json", headers=headers)
        origin = Origin(topic=kafka.topic(REQUESTS), partition=0, offset=first)
        history.write(RESPONSES, answer("r-lonely", origin), key=b"r-lonely")
        sound = millrace("audit", "--json")
        assert sound.status == 0
        assert (sound.json["requests"], sound.json["repeated"], sound.json["responses"]) == (3, 1, 1)
        assert sound.json["dead_letters"] == {"validate: no_request_id": 1}
        assert "every request is answered exactly once" in millrace("audit").out

        history.write(RESPONSES, answer("r-lonely", origin), key=b"r-lonely")
        twice = millrace("audit")
        assert twice.status == 1
        assert "answered twice  local/r-lonely" in twice.out

    def test_an_answer_from_before_the_window_covers_a_repetition_in_it(
        self, millrace: Millrace, history: Scribe, kafka: KafkaSettings
    ) -> None:
        now_ms = time.time_ns() // 1_000_000
        first = history.write(REQUESTS, dump_json(LONELY), timestamp_ms=now_ms - 7_200_000)
        origin = Origin(topic=kafka.topic(REQUESTS), partition=0, offset=first)
        history.write(RESPONSES, answer("r-lonely", origin), timestamp_ms=now_ms - 7_100_000)
        history.write(REQUESTS, dump_json(LONELY), timestamp_ms=now_ms - 600_000)
        report = millrace("audit", "--since", "1h", "--json")
        assert report.status == 0
        assert (report.json["requests"], report.json["unasked"]) == (1, [])


class TestResponses:
    @pytest.fixture
    def answered(self, scribe: Scribe, kafka: KafkaSettings) -> str:
        scribe.make(RESPONSES)
        origin = Origin(topic=kafka.topic(REQUESTS), partition=0, offset=0)
        for number in range(3):
            key = f"r-{number}"
            partition = partition_for(key.encode(), kafka.partitions)
            scribe.write(RESPONSES, answer(key, origin), key=key.encode(), partition=partition)
        scribe.write(RESPONSES, b"not a response", key=b"r-1")
        return "r-1"

    def test_the_answer_to_one_request_is_found(self, millrace: Millrace, answered: str) -> None:
        shown = millrace("responses", "--request-id", answered, "--json")  # --follow ends with it
        assert shown.status == 0
        assert shown.json["output"]["content"] == "Yes, somebody is."

    def test_what_is_there_is_listed_in_the_order_it_was_given(self, millrace: Millrace, answered: str) -> None:
        assert answered
        lines = millrace("responses", "--once").out.splitlines()
        assert [line.split()[2] for line in lines[1:]] == ["r-0", "r-1", "r-2"]
        newest = millrace("responses", "--once", "--last", "1").out.splitlines()
        assert newest[1].endswith("Yes, somebody is.")
        assert len(newest) == 2

    def test_no_answer_yet_is_a_finding(self, millrace: Millrace, answered: str) -> None:
        assert answered
        ended = millrace("responses", "--once", "--request-id", "r-9")
        assert (ended.status, ended.err) == (1, "no answer to r-9 since 1h\n")

    def test_what_comes_later_is_followed(self, kafka: KafkaSettings, scribe: Scribe) -> None:
        scribe.make(RESPONSES)
        scribe.write(RESPONSES, b"before")
        with TopicReader(LiveCluster(kafka, Cluster(kafka).existing()), RESPONSES) as reader:
            seen = reader.spans()
            assert [each.value for each in reader.read(seen)] == [b"before"]
            scribe.write(RESPONSES, b"after", partition=1)
            assert next(reader.follow(seen)).value == b"after"

    def test_a_reader_takes_what_was_written_since(self, kafka: KafkaSettings, scribe: Scribe) -> None:
        scribe.make(RESPONSES, fenced=False)
        for number in range(3):
            scribe.write(RESPONSES, str(number).encode(), timestamp_ms=OLD_MS + number * 1_000)
        with TopicReader(LiveCluster(kafka, Cluster(kafka).existing()), RESPONSES) as reader:
            since = [each.value for each in reader.read(reader.spans(OLD_MS + 1_000))]
            assert since == [b"1", b"2"]
            assert list(reader.read(reader.spans(OLD_MS + 9_000))) == []


class TestDeadLetters:
    @pytest.fixture
    def place(self, scribe: Scribe, kafka: KafkaSettings) -> str:
        scribe.make(DEAD_LETTERS)
        cause = Delivery(kafka.topic(REQUESTS), 1, 91, b"acme", b"private\x1b[31m", (("x-team", b"blue"),), OLD_MS)
        headers = dead_letter_headers(cause, "validate", DeadLetter("no_request_id", "nobody to answer"), OLD_MS)
        offset = scribe.write(DEAD_LETTERS, cause.value, key=cause.key, partition=1, headers=headers)
        return f"1/{offset}"

    def test_a_list_says_why_and_from_where_and_shows_no_payload(
        self, millrace: Millrace, place: str, kafka: KafkaSettings
    ) -> None:
        (letter,) = millrace("dlq", "list", "--json").json
        assert (letter["stage"], letter["reason"], letter["size"]) == ("validate", "no_request_id", 12)
        assert (letter["origin_topic"], letter["origin_partition"], letter["origin_offset"]) == (
            kafka.topic(REQUESTS),
            1,
            91,
        )
        table = millrace("dlq", "list").out
        assert f"millrace dlq show {place}" in table
        assert "private" not in table

    def test_a_payload_is_shown_only_when_it_is_asked_for_and_cannot_command_the_terminal(
        self, millrace: Millrace, place: str
    ) -> None:
        plain, whole = millrace("dlq", "show", place), millrace("dlq", "show", place, "--payload")
        assert "x-team" in plain.out
        assert "private" not in plain.out
        assert "private" in whole.out
        assert "\x1b" not in whole.out
        assert "payload_base64" not in millrace("dlq", "show", place, "--json").json
        assert millrace("dlq", "show", place, "--json", "--payload").json["payload_base64"] == "cHJpdmF0ZRtbMzFt"

    @pytest.mark.parametrize("missing", ["1/99", "7/0"])
    def test_a_place_where_nothing_is_is_told(self, millrace: Millrace, place: str, missing: str) -> None:
        assert place
        ended = millrace("dlq", "show", missing)
        assert ended.status == 2
        assert f"has no record at {missing}; see: millrace dlq list" in ended.err

    def test_an_empty_list_says_so(self, millrace: Millrace, scribe: Scribe) -> None:
        scribe.make(DEAD_LETTERS)
        assert millrace("dlq", "list", "--since", "1h").out == "no dead letters\n"


class TestLag:
    @pytest.fixture
    def consumer(self, kafka: KafkaSettings) -> Iterator[Consumer]:
        consumer = Consumer(consumer_config(kafka, "validate"))
        yield consumer
        consumer.close()

    def test_what_is_not_committed_waits(self, kafka: KafkaSettings, scribe: Scribe, consumer: Consumer) -> None:
        scribe.make(REQUESTS)
        for partition in (0, 0, 0, 1, 1):
            scribe.write(REQUESTS, b"{}", partition=partition)
        cluster = reach(kafka.bootstrap_servers)
        settled = LiveCluster(kafka, cluster.topics)
        before = {each.part: each for each in lags(settled)}
        consumer.commit(offsets=[TopicPartition(kafka.topic(REQUESTS), 0, 2)], asynchronous=False)
        after = {each.part: each for each in lags(settled)}
        assert (before["validate"].waiting, after["validate"].waiting) == (5, 3)
        assert (before["validate"].members, before["limit"].waiting) == (0, 0)

    def test_records_that_nobody_reads_are_told_with_the_command_that_does(
        self, millrace: Millrace, scribe: Scribe
    ) -> None:
        scribe.make(REQUESTS)
        scribe.write(REQUESTS, b"{}")
        found = {each["name"]: each for each in millrace("doctor", "--json").json}
        assert found["lag of validate"]["todo"] == "start it: millrace stage validate"
        assert found["lag of limit"]["ok"]


@pytest.mark.parametrize(
    ("command", "topic"),
    [
        (("config", "show"), CONTROL),
        (("publish", "-"), REQUESTS),
        (("responses", "--once"), RESPONSES),
        (("dlq", "list"), DEAD_LETTERS),
        (("audit",), REQUESTS),
    ],
    ids=["config", "publish", "responses", "dlq", "audit"],
)
def test_a_topic_that_is_not_there_is_named_with_the_way_to_make_it(
    millrace: Millrace, kafka: KafkaSettings, command: tuple[str, ...], topic: Topic
) -> None:
    ended = millrace(*command, text="")
    assert (ended.status, ended.err) == (
        2,
        f"millrace: topic {kafka.topic(topic)} does not exist; run: millrace topics apply\n",
    )


def test_a_cluster_that_does_not_answer_is_a_sentence_that_says_where_it_was_looked_for(
    millrace: Millrace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_kafka, "REACH_WITHIN_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        silent = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = millrace("topics", "show", "--bootstrap-servers", silent)
    assert ended.status == 2
    assert ended.err.startswith(f"millrace: Kafka at {silent} does not answer (")
    assert "MILLRACE_KAFKA_BOOTSTRAP_SERVERS" in ended.err
    assert len(ended.err.splitlines()) == 1
