"""The jars on disk are the pinned ones or none: fetched once, hashed at every start."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.stack.errors import JarError, StackError
from scripts.stack.jars import verified_jars
from scripts.stack.pins import JarPin, KafkaPins, PinError, committed_pins, parse_pins, render_pins
from scripts.stack.settings import StackSettings


def pin(artifact: str, content: bytes) -> JarPin:
    return JarPin("org.example", artifact, "1.0", hashlib.sha256(content).hexdigest())


PINS = (pin("broker", b"broker bytes"), pin("clients", b"clients bytes"))
SERVED = {"broker": b"broker bytes", "clients": b"clients bytes"}


class Repository:
    """Serves bytes by artifact and remembers what it was asked for."""

    def __init__(self, served: dict[str, bytes]) -> None:
        self.served = served
        self.asked: list[str] = []

    def __call__(self, pins: Sequence[JarPin], scratch: Path) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for wanted in pins:
            self.asked.append(wanted.artifact)
            files[wanted.coordinate] = scratch / f"{wanted.artifact}.download"
            files[wanted.coordinate].write_bytes(self.served[wanted.artifact])
        return files


def unreachable(_pins: Sequence[JarPin], _scratch: Path) -> dict[str, Path]:
    raise JarError("no network")


def test_the_first_start_fetches_every_jar_and_later_ones_none(tmp_path: Path) -> None:
    repository = Repository(SERVED)

    first = verified_jars(tmp_path / "new", PINS, repository)
    later = verified_jars(tmp_path / "new", PINS, unreachable)

    assert repository.asked == ["broker", "clients"]
    assert first == later
    assert [jar.read_bytes() for jar in later] == [b"broker bytes", b"clients bytes"]


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    verified_jars(tmp_path, PINS, Repository(SERVED))
    (tmp_path / "clients-1.0.jar").unlink()
    repository = Repository(SERVED)

    verified_jars(tmp_path, PINS, repository)

    assert repository.asked == ["clients"]


def test_a_fetched_jar_with_other_bytes_is_refused_by_name_and_never_installed(tmp_path: Path) -> None:
    with pytest.raises(JarError, match=r"org\.example:clients:1\.0 was fetched with SHA-256 .* is pinned"):
        verified_jars(tmp_path, PINS, Repository({**SERVED, "clients": b"other bytes"}))

    assert not (tmp_path / "clients-1.0.jar").exists()


def test_a_jar_that_changed_on_disk_is_refused_with_the_file_to_delete(tmp_path: Path) -> None:
    verified_jars(tmp_path, PINS, Repository(SERVED))
    changed = tmp_path / "broker-1.0.jar"
    changed.write_bytes(b"BROKER bytes")  # the same length: size alone would not tell

    with pytest.raises(JarError, match=r"broker-1\.0\.jar is not the pinned org\.example:broker.*delete that file"):
        verified_jars(tmp_path, PINS, unreachable)

    changed.unlink()
    verified_jars(tmp_path, PINS, Repository(SERVED))


def test_an_interrupted_fetch_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(JarError, match="no network"):
        verified_jars(tmp_path, PINS, unreachable)

    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert len(verified_jars(tmp_path, PINS, Repository(SERVED))) == 2


def test_what_a_killed_fetch_left_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".fetch-killed").mkdir()
    (tmp_path / ".fetch-killed" / "half.jar").write_bytes(b"half")

    verified_jars(tmp_path, PINS, Repository(SERVED))

    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "broker-1.0.jar", "clients-1.0.jar"]


def test_first_starts_at_the_same_moment_fetch_once(tmp_path: Path) -> None:
    repository = Repository(SERVED)

    with ThreadPoolExecutor(4) as starts:
        running = [starts.submit(verified_jars, tmp_path, PINS, repository) for _ in range(4)]

    assert repository.asked == ["broker", "clients"]
    assert len({start.result() for start in running}) == 1


def test_a_cache_that_cannot_be_written_says_which_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(JarError, match=r"cannot be kept in .*XDG_CACHE_HOME"):
        verified_jars(tmp_path / "file" / "kafka", PINS, Repository(SERVED))


@given(
    st.lists(
        st.builds(
            JarPin,
            st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True),
            st.from_regex(r"[a-z]{1,8}([-_.][a-z0-9]{1,4})?", fullmatch=True),
            st.from_regex(r"[0-9]\.[0-9]{1,2}", fullmatch=True),
            st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda jar: jar.file_name,
    )
)
def test_rendered_pins_read_back_sorted(jars: list[JarPin]) -> None:
    read = parse_pins(render_pins(KafkaPins("4.3.0", tuple(jars))))

    assert read == KafkaPins("4.3.0", tuple(sorted(jars)))


SHA = "a" * 64


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kafka = 4", "unreadable"),
        ('kafka = "4.3.0"', "unreadable"),
        ('kafka = "4.3.0"\n[sha256]', "list no jar"),
        (f'kafka = "4.3.0"\n[sha256]\n"org.example:broker" = "{SHA}"', "not group:artifact:version"),
        (f'kafka = "4.3.0"\n[sha256]\n"../up:broker:1.0/x" = "{SHA}"', "not group:artifact:version"),
        ('kafka = "4.3.0"\n[sha256]\n"org.example:broker:1.0" = "abc"', "not a SHA-256"),
        (f'kafka = "4"\n[sha256]\n"a.b:x:1" = "{SHA}"\n"c.d:x:1" = "{SHA}"', "same file name: x-1.jar"),
    ],
)
def test_a_wrong_pin_file_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(PinError, match=complaint):
        parse_pins(text)


def test_the_committed_pins_hold_one_version_of_the_broker_its_clients_and_its_tools() -> None:
    pins = committed_pins()

    kafka = {jar.artifact: jar.version for jar in pins.jars if jar.group == "org.apache.kafka"}
    assert {"kafka_2.13", "kafka-clients", "kafka-tools", "kafka-server"} <= kafka.keys()
    assert set(kafka.values()) == {pins.kafka}


def test_the_cache_is_below_the_xdg_cache_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert StackSettings().cache == tmp_path / "millrace"


@pytest.mark.parametrize("unset", ["", "relative/path"])
def test_an_empty_or_relative_xdg_cache_home_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unset: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", unset)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert StackSettings().cache == tmp_path / ".cache" / "millrace"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StackError, match="set XDG_CACHE_HOME"):
        _ = StackSettings().cache
