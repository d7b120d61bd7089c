"""One whole stack for all tests that look at the pipeline from outside. It ends with them: one that idles takes a tenth
of a core from all that come after.
"""

from collections.abc import Iterator

import pytest

from scripts.local.layout import Layout
from scripts.local.parts import Wishes
from scripts.local.stack import LocalStack
from tests.integration.conversation import Conversation

QUICK = ("--latency-ms", "20", "--ttft-ms", "5", "--tokens-per-s", "2000", "--seed", "7")


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Broker, ClickHouse, simulator and every stage as its own process, with the sample configuration."""
    layout = Layout(tmp_path_factory.mktemp("stack"))
    with LocalStack(layout, Wishes(simulator=QUICK), lambda _what: None) as running:
        yield running


@pytest.fixture
def conversation(stack: LocalStack) -> Iterator[Conversation]:
    talk = Conversation(stack.kafka)
    yield talk
    talk.close()
