"""labels: how many labels a certificate needs."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from opspilot.calibrate import zero_error_minimum
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json


@app.command()
def labels(
    risk: Annotated[list[float] | None, typer.Option(help="Tolerated risk; may be repeated.")] = None,
    confidence: Annotated[list[float] | None, typer.Option(help="Confidence; may be repeated.")] = None,
    errors: Annotated[int, typer.Option(min=0, max=100, help="Up to how many errors.")] = 5,
    as_json: Json = False,
) -> int:
    """How many items above a line prove a risk, by the errors among them. For a floor under recall: risk = 1 - recall, items =
    positives, errors = missed ones. G groups that shall hold together need confidence 1 - (1 - c) / G each."""
    rows: list[dict[str, Any]] = [
        {"risk": alpha, "confidence": level, "needed": [zero_error_minimum(alpha, level, errors=k) for k in range(errors + 1)]}
        for level in confidence or [0.95, 0.99, 0.995]
        for alpha in risk or [0.01, 0.02, 0.03, 0.05, 0.1]
    ]
    if as_json:
        output.show_json({"errors": list(range(errors + 1)), "rows": rows})
        return output.FINE
    table = Table("risk", "confidence", *(f"{k} errors" for k in range(errors + 1)))
    for row in rows:
        table.add_row(f"{row['risk']:.4g}", f"{row['confidence']:.4g}", *(str(n) for n in row["needed"]))
    output.console.print(table)
    return output.FINE
