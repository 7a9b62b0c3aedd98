"""policy: check documents, run their tests, prove their invariants."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from opspilot.cli import output
from opspilot.cli.app import app
from opspilot.cli.inspect import Json
from opspilot.errors import PolicyError
from opspilot.policy import Finding, Policy, prove
from opspilot.policy import format as format_document

policy = typer.Typer(
    help="Policy documents: check, test, format and sign them, prove their invariants, compare two over a log.",
    no_args_is_help=True,
)
app.add_typer(policy, name="policy")

Files = Annotated[list[Path], typer.Argument(help="Policy documents (JSON), of one or several layers.")]
Schema = Annotated[Path | None, typer.Option(help="schema.json of the bundle; without it misspelt fields are not found.")]
Tables = Annotated[Path | None, typer.Option(help="Folder of tables, NAME.json each, that conditions look into.")]


@policy.command()
def check(
    files: Files,
    schema: Schema = None,
    tables: Tables = None,
    notes: Annotated[bool, typer.Option("--notes", help="Also show what may be meant and may be not.")] = False,
    as_json: Json = False,
) -> int:
    """Compiles documents and shows what the checker finds. Exit 1 when one finding is an error."""
    compiled, findings = _compile(files, schema, tables)
    if compiled is not None:
        findings = [*findings, *compiled.findings_at(datetime.now(UTC))]
    remarks = compiled.notes if compiled is not None and notes else []
    errors = sum(finding.error for finding in findings)
    if as_json:
        about: dict[str, Any] = {"ok": errors == 0, "errors": errors, "warnings": len(findings) - errors}
        about |= {"files": [str(file) for file in files], "rules": len(compiled.rules) if compiled else 0}
        about["findings"] = [{name: getattr(finding, name) for name in finding.__slots__} for finding in findings]
        if notes:
            about["notes"] = [{name: getattr(note, name) for name in note.__slots__} for note in remarks]
        output.show_json(about)
        return output.FINE if errors == 0 else output.NO
    if findings or remarks:
        output.console.print(_findings(findings, remarks))
        _excerpts([*findings, *remarks])
    if compiled is not None:
        output.console.print(
            f"{len(compiled.rules)} rules in {_count(len(files), 'document')}, {_count(len(findings), 'warning')}"
        )
    else:
        output.console.print(f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}")
    return output.FINE if errors == 0 else output.NO


@policy.command()
def test(files: Files, schema: Schema = None, tables: Tables = None, as_json: Json = False) -> int:
    """Runs the documents' own tests and says which rules none of them reaches. Exit 1 when a test fails."""
    compiled, findings = _compile(files, schema, tables)
    if compiled is None:
        first = next(finding for finding in findings if finding.error)
        raise output.Failed(
            f"{first.where}: {first.message}; {first.hint}", output.NO, code=first.code, where=first.where, hint=first.hint
        )
    results = compiled.run_tests()
    failed = [result for result in results if not result.passed]
    untested = [rule for rule, reached in compiled.coverage().items() if reached == 0]
    if as_json:
        about: dict[str, Any] = {"ok": not failed, "tests": len(results), "passed": len(results) - len(failed)}
        about["failed"] = [{"document": r.document, "index": r.index, "message": r.message} for r in failed]
        about["rules_without_test"] = untested
        output.show_json(about)
        return output.FINE if not failed else output.NO
    if failed:
        table = Table(title="Failed tests")
        for name in ("document", "test", "what happened"):
            table.add_column(name, overflow="fold")
        for result in failed:
            table.add_row(Text(result.document), str(result.index), Text(result.message))
        output.console.print(table)
    output.console.print(f"{len(results) - len(failed)} of {_count(len(results), 'test')} passed")
    if untested:
        output.console.print(Text(f"no test reaches: {', '.join(untested)}"))
    return output.FINE if not failed else output.NO


@policy.command(name="prove")
def prove_verb(
    files: Files,
    schema: Schema = None,
    tables: Tables = None,
    invariant: Annotated[str | None, typer.Option(help="Id of one invariant; without it all are looked at.")] = None,
    as_json: Json = False,
) -> int:
    """Says of each invariant whether the rules keep it for every row. Exit 1 unless all are proved."""
    compiled, findings = _compile(files, schema, tables)
    if compiled is None:
        first = next(finding for finding in findings if finding.error)
        raise output.Failed(
            f"{first.where}: {first.message}; {first.hint}", output.NO, code=first.code, where=first.where, hint=first.hint
        )
    names = [proof.invariant for proof in compiled.invariants]
    if invariant is not None and invariant not in names:
        hint = f"one of: {', '.join(names)}" if names else "the documents declare none"
        raise output.Failed(
            f"no invariant is called '{invariant}'; {hint}", output.USAGE, code="usage.unknown_invariant", hint=hint
        )
    with output.working("proving"):
        proofs = [prove(compiled, name) for name in names if invariant in {None, name}]
    proved = all(proof.outcome == "proved" for proof in proofs)
    if as_json:
        output.show_json({"ok": proved, "proofs": [{name: getattr(proof, name) for name in proof.__slots__} for proof in proofs]})
        return output.FINE if proved else output.NO
    if proofs:
        table = Table(title="Invariants")
        for column in ("invariant", "outcome", "by", "row that refutes it"):
            table.add_column(column, overflow="fold")
        styles = {"proved": "green", "refuted": "bold red", "not decided": "yellow"}
        for proof in proofs:
            row = json.dumps(proof.row, ensure_ascii=False) if proof.row else ""
            row += f"\nleaves {proof.verdict}" if proof.verdict else ""
            table.add_row(Text(proof.invariant), Text(proof.outcome, styles[proof.outcome]), proof.method or "", Text(row))
        output.console.print(table)
    else:
        output.console.print("the documents declare no invariant")
    return output.FINE if proved else output.NO


@policy.command(name="format")
def format_(
    files: Annotated[list[Path], typer.Argument(help="Policy documents (JSON); they are written in place.")],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when a document has another layout.")] = False,
    as_json: Json = False,
) -> int:
    """Writes documents in one layout: keys in the format's order, conditions with one space around operators."""
    changed = []
    for file in files:
        before = file.read_bytes()
        after = format_document(file).encode()
        if after == before:
            continue
        changed.append(str(file))
        if not check:
            file.write_bytes(after)
    if as_json:
        output.show_json({"ok": not (check and changed), "files": len(files), "changed": changed})
    else:
        for name in changed:
            output.console.print(f"{'would change' if check else 'changed'} {name}", markup=False, soft_wrap=True)
        output.console.print(f"{_count(len(files), 'document')}, {len(changed)} {'to format' if check else 'formatted'}")
    return output.NO if check and changed else output.FINE


def _compile(files: list[Path], schema: Path | None, tables: Path | None) -> tuple[Policy | None, list[Finding]]:
    """What cannot be read is an OSError (exit 4); what does not compile is a list of findings."""
    for file in [*files, *([schema] if schema is not None else [])]:
        file.read_bytes()
    try:
        compiled = Policy.compile(files, schema, tables)
    except PolicyError as error:
        findings: list[Finding] = getattr(error, "findings", []) or [
            Finding(True, error.code, "", error.message, error.where, error.hint)
        ]
        return None, findings
    return compiled, compiled.findings


def _findings(findings: list[Finding], notes: list[Finding]) -> Table:
    table = Table(title="Findings")
    for name in ("", "rule", "where", "what", "cure"):
        table.add_column(name, overflow="fold")
    kinds = [("error", "bold red", [f for f in findings if f.error]), ("warning", "yellow", [f for f in findings if not f.error])]
    for kind, style, entries in [*kinds, ("note", "cyan", notes)]:
        for finding in entries:
            what = f"{finding.message} [{finding.code}]"
            table.add_row(Text(kind, style), Text(finding.rule), Text(finding.where), Text(what), Text(finding.hint))
    return table


def _excerpts(findings: list[Finding]) -> None:
    """The lines with the places marked; below the table, where nothing wraps them."""
    for finding in sorted(findings, key=lambda finding: not finding.error):
        if finding.excerpt:
            output.console.print(Text(f"{finding.where}: {finding.code}\n{finding.excerpt}"), soft_wrap=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
