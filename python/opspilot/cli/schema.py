"""schema: JSON Schemas of a bundle's documents, for editors and validators."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from opspilot import _core, schemas
from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json


@app.command()
def schema(
    name: Annotated[str | None, typer.Argument(help="Document: policy, features, …; without it the names are shown.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write NAME.schema.json files to, all when no name is given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prints the JSON Schema of a document of a bundle, or of a line of a log."""
    names = schemas.NAMES if name is None else (name,)
    if out is not None:
        texts = {one: _core.document_schema(one) for one in names}
        out.mkdir(parents=True, exist_ok=True)
        for one, text in texts.items():
            (out / f"{one}.schema.json").write_text(text, encoding="utf-8")
        if as_json:
            output.show_json({"ok": True, "files": [str(out / f"{one}.schema.json") for one in names]})
        else:
            output.console.print(f"{len(names)} schemas in {out}", markup=False)
    elif name is not None:
        if as_json:
            output.show_json(schemas.get(name))
        else:
            typer.echo(_core.document_schema(name), nl=False)
    elif as_json:
        output.show_json({"names": list(names)})
    else:
        typer.echo("\n".join(names))
