"""parity: training and serving compute the same bits."""

from __future__ import annotations

from pathlib import Path

import opspilot as op
from opspilot import parity as parity_check
from opspilot._describe import as_text
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json


@app.command()
def parity(bundle: Path, as_json: Json = False) -> int:
    """Recomputes the feature vectors stored when the models were trained. Exit 1 when one bit differs."""
    result = parity_check.check(op.Bundle.load(bundle))
    if as_json:
        output.show_json(result)
    else:
        output.console.print(as_text({k: v for k, v in result.items() if k != "examples"}), markup=False)
        for example in result["examples"]:
            output.console.print(f"  {example}", markup=False)
    return output.FINE if result["mismatches"] == 0 else output.NO
