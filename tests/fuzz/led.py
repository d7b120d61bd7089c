"""One target, led by coverage: `python -m tests.fuzz.led TARGET [libFuzzer's arguments]`, in the fuzzers' environment.

With a file in place of a corpus, that input alone is run: this is how a crash is looked at.
"""

import logging
import sys
from importlib import import_module

import structlog

OURS = ["schemas", "streams", "sinks", "scripts"]


def main(name: str, arguments: list[str]) -> None:
    # by name: it is not in the environment that everything else runs and is checked in
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=OURS):
        target = import_module("tests.fuzz.registry").TARGETS[name]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable()
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
