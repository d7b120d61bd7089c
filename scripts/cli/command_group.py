"""What typer is taught: to import a command only when it is used, and to end in a sentence instead of a traceback."""

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from scripts.cli.fault import Fault, sentence_of


class Deferred(TyperCommand):
    """Stands for `scripts.cli.<name>` in the list of commands, so that `millrace --help` need not import them all."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        module = import_module(f"scripts.cli.{(self.name or '').replace('-', '_')}")
        command: Any = get_command(module.app)
        return command.make_context(*args, **extra)


class FaultTelling(TyperGroup):
    """Exit status: 0 done, 1 a finding (something is missing, differs, is wrong), 2 it could not be done."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            print(f"millrace: {sentence}", file=sys.stderr)
            raise typer.Exit(error.exit_status if isinstance(error, Fault) else Fault.exit_status) from None


def command_app(purpose: str | None = None) -> typer.Typer:
    """A module's command, or with a purpose its group of commands."""
    return typer.Typer(
        help=purpose,
        no_args_is_help=purpose is not None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
