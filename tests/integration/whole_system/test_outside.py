"""With no code of ours: Kafka's own console producer asks, curl and ClickHouse's own client read the costs."""

import shutil
import subprocess
import time
from decimal import Decimal
from urllib.parse import quote
from uuid import uuid4

import clickhouse_connect
import pytest

from scripts.local.stack import LocalStack
from scripts.stack.java import tool_argv
from tests.integration.conversation import Conversation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_a_json_line_from_kafkas_console_producer_is_answered(stack: LocalStack, conversation: Conversation) -> None:
    request_id = f"console-{uuid4().hex[:8]}"
    line = f'{{"request_id": "{request_id}", "tenant_id": "local", "messages": [{{"role": "user", "content": "Hi"}}]}}'
    producer = "org.apache.kafka.tools.ConsoleProducer"
    argv = tool_argv(producer, "--bootstrap-server", stack.kafka.bootstrap_servers, "--topic", "llm.requests")
    subprocess.run(argv, input=line + "\n", text=True, check=True, capture_output=True, timeout=60)  # noqa: S603  # our words
    response = conversation.answer(request_id)
    assert (response.status, response.tenant_id) == ("ok", "local")
    assert response.cost_usd is not None
    assert response.cost_usd > 0


def test_analysts_read_while_the_sink_is_writing(stack: LocalStack, conversation: Conversation) -> None:
    ids = [f"analyst-{uuid4().hex[:8]}" for _ in range(20)]
    client = clickhouse_connect.get_client(host=stack.clickhouse.host, port=stack.clickhouse.port)
    known = ", ".join(f"'{each}'" for each in ids)
    count = f"SELECT count(), sum(cost_usd) FROM millrace.calls WHERE request_id IN ({known}) AND is_final"  # noqa: S608  # ids are ours
    for request_id in ids:
        conversation.ask(request_id)
        client.query(count)
    answers = [conversation.answer(request_id) for request_id in ids]
    deadline_s = time.monotonic() + 30
    rows, cost = 0, None
    while rows < len(ids) and time.monotonic() < deadline_s:
        ((rows, cost),) = client.query(count).result_rows
    client.close()
    assert rows == len(ids)
    assert cost == sum((answer.cost_usd or Decimal(0) for answer in answers), Decimal(0))


def test_curl_reads_the_costs(stack: LocalStack) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed here; the same door is tested with other clients")
    query = quote("SELECT countIf(is_final) >= 0 FROM millrace.calls")
    url = f"http://{stack.clickhouse.host}:{stack.clickhouse.port}/?query={query}"
    done = subprocess.run([curl, "-sS", "--fail", url], capture_output=True, text=True, check=True, timeout=30)  # noqa: S603  # ours
    assert done.stdout == "1\n"
