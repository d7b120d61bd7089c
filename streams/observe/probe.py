"""`python -m streams.observe.probe PORT`: exit status 0 if the process listening there says that it is healthy.

For container health checks, several times a minute: it imports nothing that takes time.
"""

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 3.0


def probe(port: int) -> tuple[bool, str]:
    """Whether /healthz on loopback answers 200, and what it said."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status == HTTPStatus.OK, answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return False, f"no answer on port {port}: {type(error).__name__}"
    finally:
        connection.close()


if __name__ == "__main__":
    healthy, said = probe(int(sys.argv[1]))
    print(said)  # noqa: T201  (the container runtime keeps what a health check prints)
    raise SystemExit(0 if healthy else 1)
