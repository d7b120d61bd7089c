from collections.abc import Iterator

import pytest

from tests.simulated.quiet import quiet


@pytest.fixture(autouse=True)
def quiet_workers() -> Iterator[None]:
    with quiet():
        yield
