"""policy keygen, policy push: signed releases for engines that trust a key."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from opspilot import signing
from opspilot.cli import output
from opspilot.cli.inspect import Json
from opspilot.cli.policy import policy
from opspilot.policy import Policy


@policy.command()
def keygen(
    key: Annotated[Path, typer.Argument(help="Where the signing key goes: 32 bytes, for you alone.")], as_json: Json = False
) -> int:
    """Makes a signing key, and prints the public half that engines trust."""
    made = signing.make_key()
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(made)
    public = signing.public_key(made)
    if as_json:
        output.show_json({"key": str(key), "public_key": public})
    else:
        output.console.print(public, soft_wrap=True)
    return output.FINE


@policy.command()
def push(
    key: Annotated[Path, typer.Option(help="Signing key, as keygen wrote it.")],
    bundle: Annotated[str, typer.Option(help="Name of the bundle that the release is for.")],
    sequence: Annotated[int, typer.Option(help="Number of the release; engines take none that is not above the last.")],
    to: Annotated[Path, typer.Option(help="Where the release goes; written whole or not at all.")],
    files: Annotated[list[Path] | None, typer.Argument(help="All layers: documents, or the folder that holds them.")] = None,
    overlay: Annotated[list[str] | None, typer.Option(help="CLIENT=FILE: rules of one client; CLIENT=: taken away.")] = None,
    schema: Annotated[Path | None, typer.Option(help="schema.json of the bundle, to check against.")] = None,
    as_json: Json = False,
) -> int:
    """Checks policies, runs their tests and signs them as one release, which hosts hand to `Engine.swap(signed=…)`.

    Exit 1 when a document does not compile or one of its tests fails; nothing is written then.
    """
    given = files or []
    policies: Path | list[Path] | None = given[0] if len(given) == 1 else given or None
    overlays: dict[str, Path | None] = {}
    for entry in overlay or []:
        client, _, file = entry.partition("=")
        overlays[client] = Path(file) if file else None
    checked = [policies] if policies is not None else []
    for documents in [*checked, *(file for file in overlays.values() if file is not None)]:
        compiled = Policy.compile(documents, schema)
        for result in compiled.run_tests():
            if not result.passed:
                where = f"{result.document} /tests/{result.index}"
                raise output.Failed(f"{where}: {result.message}", output.NO, code="policy.test_failed", where=where)
    release = signing.sign_policy(key.read_bytes(), sequence=sequence, bundle=bundle, policy=policies, overlay=overlays)
    with tempfile.NamedTemporaryFile(dir=to.parent, delete=False) as written:
        written.write(release)
        written.flush()
        os.fsync(written.fileno())
    os.replace(written.name, to)
    about = {"release": str(to), "bytes": len(release), "sequence": sequence, "signed_by": signing.public_key(key.read_bytes())}
    if as_json:
        output.show_json(about)
    else:
        output.console.print(f"release {sequence} for {bundle}: {to}, {len(release):,} bytes")
    return output.FINE
