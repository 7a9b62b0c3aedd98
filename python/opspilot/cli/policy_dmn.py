"""policy import-dmn: a decision table as a policy document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from opspilot import policy as policies
from opspilot.cli import output
from opspilot.cli.inspect import Json
from opspilot.cli.policy import policy


@policy.command("import-dmn")
def import_dmn(
    file: Annotated[Path, typer.Argument(help="DMN file, version 1.1 to 1.4.")],
    out: Annotated[Path, typer.Option(help="Policy document to write.")],
    decision: Annotated[str | None, typer.Option(help="Name or id of the decision, where there are several tables.")] = None,
    field: Annotated[list[str] | None, typer.Option(metavar="INPUT=PATH", help="Field of an input; may be repeated.")] = None,
    key: Annotated[list[str] | None, typer.Option(metavar="OUTPUT=KEY", help="Key of a rule that an output gives.")] = None,
    effect: Annotated[
        list[str] | None, typer.Option(metavar="VALUE=EFFECT", help="Effect that an output value stands for.")
    ] = None,
    layer: Annotated[str, typer.Option(help="compliance, client or business.")] = "business",
    version: Annotated[str, typer.Option(help="Version of the document.")] = "1",
    as_json: Json = False,
) -> int:
    """Writes a decision table as a policy document and shows inputs that no row matches."""
    table = policies.from_dmn(
        file.read_bytes(),
        decision=decision,
        fields=_pairs(field, "--field"),
        outputs=_pairs(key, "--key"),
        effects=_pairs(effect, "--effect"),
        layer=layer,
        version=version,
    )
    text = policies.format(table.document)
    out.write_text(text, encoding="utf-8")
    if as_json:
        output.show_json(
            {
                "ok": True,
                "decision": table.name,
                "hit_policy": table.hit_policy,
                "rules": len(table.document["rules"]),
                "inputs": table.inputs,
                "gaps": table.gaps,
                "overlaps": [{"rules": [a, b], "example": example} for a, b, example in table.overlaps],
                "decided": table.decided,
            }
        )
        return output.FINE
    output.console.print(Text(f"{table.name}: {len(table.document['rules'])} rules to {out}, hit policy {table.hit_policy}"))
    for gap in table.gaps:
        output.console.print(Text(f"no row matches {json.dumps(gap, ensure_ascii=False)}", "yellow"))
    if not table.decided:
        output.console.print(Text("there may be more inputs that no row matches", "yellow"))
    return output.FINE


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for entry in given or []:
        name, sign, value = entry.rpartition("=")
        if not sign or not name:
            raise output.Failed(f"{option} {entry} is no NAME=VALUE", output.USAGE, code="usage.option")
        pairs[name] = value
    return pairs
