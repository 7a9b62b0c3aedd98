"""doctor, check, describe: what is here, is it sound, what is in it."""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

import opspilot as op
from opspilot import _core
from opspilot._describe import as_html, as_text
from opspilot.cli import output
from opspilot.cli.app import app

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")]


@app.command()
def doctor(as_json: Json = False) -> None:
    """Versions, instruction sets and optional packages of this installation."""
    about: dict[str, Any] = {
        "kind": "installation",
        "opspilot": op.__version__,
        "python": platform.python_version(),
        **_core.build_info(),
    }
    optional = {}
    for package, extra in (("lightgbm", "demo"), ("sklearn", "demo"), ("pyarrow", "arrow"), ("matplotlib", "plot")):
        try:
            optional[package] = __import__(package).__version__
        except ImportError:
            optional[package] = f"absent (extra {extra})"
    about["optional_packages"] = optional
    _show(about, as_json)


@app.command()
def check(bundle: Path, as_json: Json = False) -> None:
    """Loads a bundle (file or folder): hashes, documents, policy tests, golden rows. Exit 1 when it is refused."""
    content = _content(bundle)
    began = time.perf_counter()
    try:
        loaded = op.Bundle.load(content)
    except op.Error as error:
        raise output.Failed(str(error), output.NO, code=error.code, where=error.where, hint=error.hint) from None
    elapsed = (time.perf_counter() - began) * 1e3
    about = {
        "ok": True,
        "name": loaded.name,
        "version": loaded.version,
        "fingerprint": loaded.fingerprint,
        "bytes": len(loaded.to_bytes()),
        "parts": len(loaded.parts),
        "golden_rows": loaded.golden_rows,
        "load_ms": round(elapsed, 2),
    }
    if as_json:
        output.show_json(about)
        return
    output.console.print(as_text(about), markup=False)


@app.command()
def describe(
    file: Path,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Write an HTML page instead.")] = None,
) -> None:
    """What a file is: a bundle, a tree model (LightGBM, XGBoost, CatBoost, scikit-learn), a policy document, a table, a decision
    log."""
    about = _describe(file)
    if html is not None:
        html.write_text(f"<!doctype html><meta charset='utf-8'><title>{file.name}</title>{as_html(about)}", encoding="utf-8")
        return
    _show(about, as_json)


def _show(about: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.show_json(about)
    else:
        output.console.print(as_text(about), markup=False, soft_wrap=True)


def _content(path: Path) -> bytes | Path:
    """A folder stays a path; a file's bytes are read here, so that reading is not part of the timing."""
    if path.is_dir():
        return path
    if str(path) == "-":
        return sys.stdin.buffer.read()
    return path.read_bytes()


_KNOWN = (
    "give a bundle, a tree model (LightGBM's text, XGBoost's JSON or UBJ, CatBoost's JSON, what Ranker.save wrote), a policy "
    "document or a decision log"
)
#: What to do about files that people try, by their first bytes.
_CURES = {
    b"CBM1": "save the CatBoost model with format='json'",
    b"binf": "load the model with the XGBoost that wrote it and save it as .json or .ubj",
    b"\x80": "pickles are not read; save the model with its own save_model",
}


def _is_tree_model(content: bytes) -> bool:
    """By the first bytes. XGBoost's JSON begins as any document does and is told by its keys."""
    try:
        return _core.find_tree_format(content) != "xgboost" or content.startswith(b"{L")
    except op.ModelError:
        return False


def _describe(file: Path) -> dict[str, Any]:
    if file.is_dir():
        return op.Bundle.build(file)._description()
    content = file.read_bytes()
    if content.startswith(b"OPSPILOT"):
        return op.Bundle.load(content)._description()
    if _is_tree_model(content):
        return op.Ranker._from_bytes(content)._description()
    if content.lstrip()[:1] != b"{":
        hint = next((cure for start, cure in _CURES.items() if content.startswith(start)), _KNOWN)
        raise output.Failed(
            f"{file} is none of the files opspilot knows; {hint}", output.BAD_INPUT, code="unknown_file", hint=hint
        )
    if file.suffix in {".log", ".jsonl"}:
        return {"kind": "decision log", **_core.check_log(content)}
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise output.Failed(f"{file}: not JSON: {error}", output.BAD_INPUT, code="json_syntax") from None
    if "learner" in document:
        return op.Ranker._from_bytes(content)._description()
    if "layer" in document:
        beside = next((home / "tables" for home in (file.parent, file.parent.parent) if (home / "tables").is_dir()), None)
        return op.Policy.compile(content.decode(), tables=beside)._description()
    if {"key", "value", "rows"} <= document.keys():
        return {"kind": "table", **_core.LookupTables([(file.stem, content.decode())]).infos()[0]}
    return {"kind": "document", "keys": sorted(document)}
