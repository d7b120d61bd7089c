"""The embedder that comes with us: one for all partitions of a process, and loaded only where a tenant asks for it."""

from collections.abc import Callable
from importlib import import_module

from streams.semantic.background import Background
from streams.semantic.embedder import Vector


def _load() -> Callable[[str], Vector | None]:
    return import_module("streams.semantic.minilm").load()


LOCAL = Background("all-minilm-l6-v2", _load)
