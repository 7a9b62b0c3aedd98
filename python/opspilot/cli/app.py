"""The verbs, and how their errors become exit codes."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any, cast

import typer

import opspilot
from opspilot.cli import output
from opspilot.errors import Error

app = typer.Typer(
    name="opspilot",
    help="What should happen next, may a machine do it alone, or must a person?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

#: What a wrong command line raises: click.ClickException, of the copy that typer uses, its own or the installed one.
_Refused = cast("type[Any]", typer.BadParameter.__mro__[2])

#: Each module registers its verbs on `app` when it is imported.
VERBS = (
    "inspect",
    "decide",
    "explain",
    "evaluate",
    "gate",
    "calibrate",
    "parity",
    "bench",
    "policy",
    "policy_diff",
    "policy_dmn",
    "policy_release",
    "labels",
    "schema",
    "demo",
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(opspilot.__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the console script."""
    for verb in VERBS:
        importlib.import_module(f"opspilot.cli.{verb}")
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        sys.exit(130)
    except _Refused as error:
        if as_json:
            output.problem(error.format_message(), output.USAGE, True, {"code": "usage"})
        error.show()
        sys.exit(output.USAGE)
    except output.Failed as failed:
        output.problem(str(failed), failed.exit_code, as_json, failed.details)
    except Error as error:
        details = {"code": error.code, "where": error.where, "hint": error.hint}
        output.problem(str(error), output.BAD_INPUT, as_json, details)
    except ModuleNotFoundError as error:
        extra = {"lightgbm": "demo", "sklearn": "demo", "pyarrow": "arrow", "z3": "prove"}.get(
            (error.name or "").partition(".")[0]
        )
        if extra is None:
            raise
        hint = f"pip install 'opspilot[{extra}]'"
        output.problem(
            f"this needs the package {error.name}; {hint}", output.USAGE, as_json, {"code": "missing_extra", "hint": hint}
        )
    except OSError as error:
        output.problem(str(error), output.IO_FAILED, as_json, {"code": "io"})
    sys.exit(code if isinstance(code, int) else 0)
