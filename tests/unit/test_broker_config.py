"""What a node of the embedded cluster is told to be."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.stack.broker_config import NodePorts, server_properties
from scripts.stack.cluster_record import ClusterRecord, kafka_uuid, read_record
from scripts.stack.errors import StackError

ONE = [NodePorts(client=9000, controller=9001)]
THREE = [*ONE, NodePorts(client=9010, controller=9011), NodePorts(client=9020, controller=9021)]


def read_properties(text: str) -> dict[str, str]:
    """java.util.Properties, as far as one `key=value` a line goes."""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        assert line.isascii()
        parts: list[list[int]] = [[]]
        rest = iter(line)
        for character in rest:
            if character == "=":
                parts.append([])
            elif character != "\\":
                parts[-1].append(ord(character))
            elif (escaped := next(rest)) == "u":
                parts[-1].append(int("".join(next(rest) for _ in range(4)), 16))
            else:
                parts[-1].append(ord(escaped))
        key, value = (b"".join(unit.to_bytes(2, "big") for unit in part).decode("utf-16-be") for part in parts)
        settings[key] = value
    return settings


def test_a_node_listens_on_loopback_on_its_own_ports_and_knows_all_voters() -> None:
    settings = read_properties(server_properties(1, THREE, {}))

    assert settings["node.id"] == "1"
    assert settings["listeners"] == "CLIENT://127.0.0.1:9010,CONTROLLER://127.0.0.1:9011"
    assert settings["controller.quorum.voters"] == "0@127.0.0.1:9001,1@127.0.0.1:9011,2@127.0.0.1:9021"


def test_who_comes_through_a_proxy_is_sent_to_the_proxies_and_brokers_stay_among_themselves() -> None:
    behind = NodePorts(client=9000, controller=9001, proxied=9002)

    settings = read_properties(server_properties(0, [behind], {}, door=9500))

    assert settings["listeners"].endswith(",PROXIED://127.0.0.1:9002")
    assert settings["advertised.listeners"] == "CLIENT://127.0.0.1:9000,PROXIED://127.0.0.1:9500"
    assert settings["inter.broker.listener.name"] == "CLIENT"


@pytest.mark.parametrize(("ports", "replicas", "in_sync"), [(ONE, "1", "1"), (THREE, "3", "2")])
def test_everything_is_replicated_as_far_as_one_loss_leaves_it_writable(
    ports: list[NodePorts], replicas: str, in_sync: str
) -> None:
    settings = read_properties(server_properties(0, ports, {}))

    assert {value for key, value in settings.items() if key.endswith("replication.factor")} == {replicas}
    assert {value for key, value in settings.items() if key.endswith(("min.isr", "insync.replicas"))} == {in_sync}
    assert settings["unclean.leader.election.enable"] == "false"


def test_topics_are_never_made_by_accident() -> None:
    assert read_properties(server_properties(0, ONE, {}))["auto.create.topics.enable"] == "false"


def test_an_override_wins() -> None:
    settings = read_properties(server_properties(0, ONE, {"num.io.threads": "7"}))
    assert settings["num.io.threads"] == "7"


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))
def test_any_override_is_read_back_by_java_as_it_was_given(key: str, value: str) -> None:
    assert read_properties(server_properties(0, ONE, {key: value}))[key] == value


@given(st.binary(min_size=16, max_size=16))
def test_a_cluster_id_is_one_kafka_accepts_and_no_command_line_mistakes_for_an_option(raw: bytes) -> None:
    cluster_id = kafka_uuid(raw)

    assert len(cluster_id) == 22
    assert not cluster_id.startswith("-")


def test_a_cluster_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = ClusterRecord(cluster_id=kafka_uuid(UUID(int=7).bytes), nodes=tuple(THREE))
    (tmp_path / "cluster.json").write_text(record.model_dump_json())

    assert read_record(tmp_path / "cluster.json", brokers=3) == record


def test_a_new_directory_has_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path / "cluster.json", brokers=1) is None


def test_a_directory_of_another_size_is_refused(tmp_path: Path) -> None:
    record = ClusterRecord(cluster_id="x", nodes=tuple(THREE))
    (tmp_path / "cluster.json").write_text(record.model_dump_json())

    with pytest.raises(StackError, match="holds a cluster of 3 brokers, not 1"):
        read_record(tmp_path / "cluster.json", brokers=1)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", json.dumps({"nodes": []}).encode()])
def test_a_damaged_record_names_the_directory_to_delete(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "cluster.json").write_bytes(damage)

    with pytest.raises(StackError, match=f"damaged: delete {tmp_path}"):
        read_record(tmp_path / "cluster.json", brokers=1)
