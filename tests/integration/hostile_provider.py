"""A provider that repeats everything it was sent, the key too, in every place an answer has."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from typing_extensions import override

STATUSES: Mapping[str, int] = {
    **{f"echo-{status}": status for status in (400, 401, 404, 422, 429, 500, 503)},
    **dict.fromkeys(("echo-malformed", "echo-cut", "echo-event"), 200),
}
"""By the name of the model that is asked."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = cast("dict[str, Any]", json.loads(body))
        key = self.headers.get("authorization") or self.headers.get("x-api-key") or ""
        quoted = f"{key} may not ask: {body.decode()}"
        error = {"message": quoted, "type": quoted, "code": key, "param": quoted}
        match asked["model"]:
            case "echo-malformed":
                self._send(200, "application/json", f'{{"choices": [{{"message": {json.dumps(quoted)}'.encode())
            case "echo-cut":
                chunk = {"choices": [{"index": 0, "delta": {"content": quoted}}], "model": "echo"}
                self._send(200, "text/event-stream", b"data: " + json.dumps(chunk).encode() + b"\n\n", cut=True)
            case "echo-event":
                self._send(200, "text/event-stream", b"data: " + json.dumps({"error": error}).encode() + b"\n\n")
            case model:
                content = json.dumps({"type": "error", "error": error}).encode()
                self._send(STATUSES[model], "application/json", content)

    def _send(self, status: int, content_type: str, body: bytes, *, cut: bool = False) -> None:
        self.send_response(status, "no")
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body) + cut))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = cut

    @override
    def log_message(self, format: str, *args: object) -> None:  # the library's name for it
        pass


@contextmanager
def hostile_provider() -> Generator[str]:
    """Its address, to which `/v1` is added for OpenAI's protocol."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
