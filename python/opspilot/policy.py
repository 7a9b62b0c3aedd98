"""Policies: layered rules with conditions in CEL, their checker, their tests, and what they leave of candidates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from opspilot import _core
from opspilot._describe import Described
from opspilot._rows import encode
from opspilot.errors import PolicyError, UsageError

if TYPE_CHECKING:
    from opspilot._dmn import DecisionTable
    from opspilot._policy_diff import PolicyDiff, Side

__all__ = ["CandidateResult", "Finding", "Policy", "PolicyTestResult", "Proof", "diff", "format", "from_dmn", "prove"]

#: A policy document: JSON text, bytes, a mapping, or the path of a file.
Document = str | bytes | Mapping[str, Any] | Path
#: One, several of different layers, or the folder that holds them.
Documents = Document | Sequence[Document]
#: Tables that conditions look into: documents by name, or the folder that holds them.
Tables = Mapping[str, Document] | Path
#: A schema document: a mapping, bytes of JSON, or a path.
Schema = Mapping[str, Any] | bytes | str | Path

_ROLES = ("task", "action", "candidate")
_IMPLICIT = {"task": {"id", "client"}, "action": {"id"}, "candidate": set[str]()}
#: In the order in which a type is tried for a field that nothing but a condition tells about.
_TYPES = ("string", "double", "bool", "int", "list<string>", "timestamp")
#: What a value in a test may stand for besides its own type.
_WIDER = {"int": ("double",), "string": ("timestamp",)}
_NAMES = re.compile(r"\b(task|action|candidate)\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")

#: Types of fields by role and name, of a schema that was not declared.
Types = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the checker found: an error refuses the document, a warning does not."""

    error: bool
    code: str
    rule: str
    message: str
    where: str
    hint: str
    #: The line of the document and, below it, a mark under the place; empty where there is no line.
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the rules keep an invariant: ``outcome`` is "proved", "refuted" or "not decided".

    A refuted one has a ``row`` (task, candidate and, where it matters, now) that the evaluator confirmed, and the ``verdict``
    that the rules leave for it. ``method``: "built-in", "z3", or None where nothing decided it.
    """

    invariant: str
    outcome: str
    row: dict[str, Any] | None = None
    verdict: str | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyTestResult:
    """One of the documents' own tests."""

    document: str
    index: int
    passed: bool
    message: str


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """What the rules leave of one candidate.

    ``cap`` is the widest verdict left, ``boost`` what is added to the score, ``queue`` who gets the task, ``invariant`` the id of
    an invariant that the cap would break, ``threshold`` a probability that the rules want exceeded beside the certified one.
    ``reasons``: one mapping per rule that acted, ``failed`` where its condition could not be evaluated; a limit stands there
    whether it is exhausted or not, which an engine's counters know.
    """

    allowed: bool
    cap: str
    boost: float
    queue: str | None
    invariant: str | None
    reasons: list[dict[str, Any]] = field(default_factory=list)
    threshold: float | None = None


class Policy(Described):
    """All layers, compiled. Order: compliance, client, business; a lower layer can only narrow a higher one."""

    def __init__(
        self,
        core: _core.PolicySet,
        findings: list[Finding],
        documents: list[tuple[str, str]],
        guessed: Types | None,
        tables: list[tuple[str, str]],
    ) -> None:
        self._core = core
        self._documents = documents
        self._tables = tables
        self._guessed = guessed
        self._for_types: dict[frozenset[tuple[tuple[str, str], str]], _core.PolicySet] = {}
        #: Warnings of the checker, in the order of the documents.
        self.findings = findings

    @classmethod
    def compile(cls, document: Documents, schema: Schema | None = None, tables: Tables | None = None) -> Self:
        """Checks and compiles a document, or a list of documents of several layers.

        ``schema`` declares the fields. Without one, fields are optional, their types come from the document's tests and
        conditions, and later from the values given to ``evaluate``; misspelt fields are then not found. ``tables``: what
        ``lookup("name", key)`` in conditions may name: documents by name, or the folder with a file ``name.json`` for each.
        Raises ``PolicyError`` for the first error, with rule, line and column; all findings are in its ``findings``.
        """
        documents = named_documents(document)
        given = named_tables(tables)
        lookups = _core.LookupTables(given)
        guessed = None if schema is not None else _guess(documents, lookups)
        fields = _schema_text(schema) if guessed is None else _schema_of(guessed)
        core, found = _core.PolicySet.compile(documents, fields, lookups)
        findings = [Finding(**entry) for entry in found]
        if core is None:
            raise refusal(findings)
        return cls(core, findings, documents, guessed, given)

    def evaluate(self, task: object, candidates: object, *, now: object = 0, explain: bool = False) -> list[CandidateResult]:
        """What the rules leave of each candidate of a task.

        ``task``: a mapping, JSON bytes or a table of one row; ``candidates``: a list of mappings with action and candidate
        fields, JSON bytes or a table. ``now``: integer microseconds since 1970 UTC, or an aware datetime; 1970 when left
        out, as in the documents' tests. ``explain`` adds to every reason its ``clauses`` (the parts of the condition that
        decided, with what they gave and the values they saw; personal values are not shown) and the ``change`` that would
        keep the rule from acting: the smallest list of clauses that would all have to hold.
        Raises ``SchemaError`` for rows that do not fit.
        """
        if isinstance(candidates, Sequence) and not isinstance(candidates, (str, bytes)):
            candidates = [{"id": "", **row} if isinstance(row, Mapping) else row for row in candidates]
        core = self._core if self._guessed is None else self._fitting(self._guessed, task, candidates)
        return [CandidateResult(*entry) for entry in core.evaluate(task, candidates, now, explain)]

    def run_tests(self) -> list[PolicyTestResult]:
        """Runs the documents' own tests. Fields that a test does not name are missing."""
        return [PolicyTestResult(*entry) for entry in self._core.run_tests()]

    def coverage(self) -> dict[str, int]:
        """By rule id: how many of the documents' tests made it act."""
        return {rule["id"]: count for rule, count in zip(self._core.rules(), self._core.coverage(), strict=True)}

    @property
    def rules(self) -> list[dict[str, Any]]:
        """Every rule in order of evaluation: id, layer, effect, when, because, queue, by, locked, version."""
        return self._core.rules()

    @property
    def invariants(self) -> list[Proof]:
        """Whether the rules keep each invariant, as the built-in prover finds; ``prove`` also asks Z3."""
        return [_proof_of(entry) for entry in self._core.prove()]

    @property
    def notes(self) -> list[Finding]:
        """What may be meant and may be not: rules that pull apart on the same rows, fields that may be missing, patterns without
        ends."""
        return [Finding(**entry) for entry in self._core.notes()]

    @property
    def tables(self) -> list[dict[str, Any]]:
        """The tables it was compiled with: name, version, key, value, rows, has_default, sha256."""
        return self._core.tables.infos()

    def findings_at(self, now: object) -> list[Finding]:
        """Warnings about rules whose time is over at ``now``: integer microseconds since 1970 UTC, or an aware datetime."""
        return [Finding(**entry) for entry in self._core.findings_at(now)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex over the documents and the tables that they look into."""
        return self._core.fingerprint

    def _fitting(self, guessed: Types, task: object, candidates: object) -> _core.PolicySet:
        types = _types_of_values(guessed, _mappings(task, "task"), _mappings(candidates, "candidates"))
        if types == guessed:
            return self._core
        key = frozenset(types.items())
        if key not in self._for_types:
            core, found = _core.PolicySet.compile(self._documents, _schema_of(types), self._core.tables)
            if core is None:
                raise refusal([Finding(**entry) for entry in found])
            if len(self._for_types) >= 64:
                self._for_types.clear()
            self._for_types[key] = core
        return self._for_types[key]

    def _description(self) -> dict[str, Any]:
        rules, tests = self.rules, self.run_tests()
        about: dict[str, Any] = {
            "kind": "policy",
            "fingerprint": self.fingerprint,
            "layers": list(dict.fromkeys(rule["layer"] for rule in rules)),
            "rule_count": len(rules),
            "tests": len(tests),
            "tests_passed": sum(test.passed for test in tests),
            "rules": [
                {
                    "id": r["id"],
                    "layer": r["layer"],
                    "effect": r["effect"],
                    "when": r["when"],
                    "because": r["because"],
                    "tests": count,
                }
                for r, count in zip(rules, self._core.coverage(), strict=True)
            ],
        }
        if self.findings:
            about["findings"] = [{"code": f.code, "rule": f.rule, "message": f.message, "where": f.where} for f in self.findings]
        return about

    def __reduce__(self) -> tuple[object, ...]:
        schema = None if self._guessed is not None else self._core.schema.encode()
        return (_restore, ([(name, text.encode()) for name, text in self._documents], schema, self._tables))


def prove(policy: Policy, invariant: str | Mapping[str, Any], *, timeout_s: float = 20.0) -> Proof:
    """Whether the rules of all layers keep an invariant for every task and candidate that the schema allows.

    ``invariant``: the id of one in the documents, or a mapping such as ``{"when": "task.intent == 'fraud'", "never":
    "auto_execute"}``. What the built-in prover does not decide, Z3 is asked (extra ``prove``); a row that it finds counts only
    when the evaluator confirms it. Budgets of time and memory of one evaluation are left out of account. Raises
    ``ModuleNotFoundError`` when Z3 is needed and not installed.
    """
    invariants = [(_INVARIANT, dict(invariant))] if isinstance(invariant, Mapping) else _invariants_of(policy._documents)
    wanted = invariant if isinstance(invariant, str) else _INVARIANT
    found = next((entry for name, entry in invariants if name == wanted), None)
    if found is None:
        hint = f"one of: {', '.join(name for name, _ in invariants)}" if invariants else "the documents declare none"
        raise UsageError(f"no invariant is called '{wanted}'", code="usage.unknown_invariant", hint=hint)
    # The rules of all documents with this invariant alone.
    alone = {"layer": "business", "version": "0", "rules": [], "invariants": [{"never": "auto_execute", **found, "id": wanted}]}
    documents = [(name, _without_invariants(text)) for name, text in policy._documents]
    core, findings = _core.PolicySet.compile(
        [*documents, ("invariant", json.dumps(alone))], policy._core.schema, policy._core.tables
    )
    if core is None:
        raise refusal([Finding(**entry) for entry in findings])
    proof = _proof_of(core.prove()[0])
    if proof.outcome != "not decided":
        return proof
    from opspilot import _z3  # the extra is needed only here

    return _z3.prove(core, wanted, str(alone["invariants"][0]["when"]), timeout_s)  # type: ignore[index]


_INVARIANT = "invariant"


def _proof_of(entry: Mapping[str, Any]) -> Proof:
    decided = entry["outcome"] != "not decided"
    row = json.loads(entry["row"]) if entry["row"] else None
    return Proof(entry["id"], entry["outcome"], row, entry["verdict"], "built-in" if decided else None)


def _invariants_of(documents: list[tuple[str, str]]) -> list[tuple[str, dict[str, Any]]]:
    found = [entry for _, text in documents for entry in _objects(json.loads(text).get("invariants"))]
    return [(str(entry["id"]), entry) for entry in found]


def _without_invariants(text: str) -> str:
    document = json.loads(text)
    document.pop("invariants", None)
    document.pop("tests", None)
    return json.dumps(document, ensure_ascii=False)


def diff(
    old: Side,
    new: Side,
    records: object,
    *,
    schema: Schema | None = None,
    bundle: object = None,
    now: object = None,
    threads: int | None = None,
    examples: int = 10,
) -> PolicyDiff:
    """What would come out otherwise of logged decisions under another policy, by rule, verdict and client.

    ``old``, ``new``: a ``Policy``, a document or a list of them, a path of a file, of a folder of layers or of a bundle, a
    ``Bundle``. ``records``: the path of a log (JSON Lines: decision records as the engine writes them, or objects with "task",
    "candidates" and "now"), its bytes, a binary file, an iterable of mappings, or ``(tasks, candidates)``, two tables (also
    paths of Parquet files) whose candidates carry ``task_index``; their times are the tasks' column ``now``, or ``now``.

    Decision records name actions by id: ``bundle``, or one of the sides, gives the catalogue and the schema. Without any
    schema the types of fields are guessed from documents and records. ``threads``: as many as there are processors.
    """
    from opspilot._policy_diff import run

    return run(old, new, records, schema=schema, bundle=bundle, now=now, threads=threads, examples=examples)


def format(document: Document) -> str:
    """The document in one layout: keys in the format's order, a key of a rule a line, conditions with one space around operators
    and without brackets that change nothing. What it says stays the same; formatting again changes nothing.

    Raises ``PolicyError`` for what is no JSON or no condition, with line and column.
    """
    return _core.format_policy(_text_of(document), _name_of(document, None))


def from_dmn(
    xml: str | bytes,
    *,
    decision: str | None = None,
    fields: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    effects: Mapping[str, str] | None = None,
    layer: str = "business",
    version: str = "1",
) -> DecisionTable:
    """A decision table of DMN (1.1 to 1.4) as a policy document: ``from_dmn(text).document`` goes into ``Policy.compile``.

    Every row becomes a rule. Input expressions that begin with task., action. or candidate. name that field, others one of the
    task, blanks as underscores; ``fields`` says otherwise, ``{"Applicant Age": "task.age"}``. Output columns are keys of a rule
    (effect, queue, because, by, id, locked, on_error) by their names, or by ``outputs={"Route": "queue"}``; a lone column of
    another name is the effect. ``effects={"DECLINE": "forbid"}`` translates values; null, "none" and "allow" make no rule.
    Reasons come from ``because``, else from annotations or the row's description.

    Cells are S-FEEL: literals of string, number, boolean, date and date and time, comparisons, intervals, lists, not(…), "-";
    dates are days in UTC. Hit policies: UNIQUE and ANY are proven, FIRST and PRIORITY become conditions, COLLECT (also SUM of
    ``by``) and RULE ORDER let every row act. Everything else is refused with the cell (``PolicyError``). ``gaps`` of the result
    are inputs that no row matches.
    """
    from opspilot import _dmn

    return _dmn.read(xml, decision=decision, fields=fields, outputs=outputs, effects=effects, layer=layer, version=version)


def _restore(documents: list[tuple[str, bytes]], schema: bytes | None, tables: Iterable[tuple[str, str]] = ()) -> Policy:
    restored = Policy.compile([text for _, text in documents], schema, dict(tables))
    restored._documents = [(name, text.decode()) for name, text in documents]
    return restored


def refusal(findings: Iterable[Finding]) -> PolicyError:
    found = list(findings)
    first = next(f for f in found if f.error)
    error = PolicyError(first.message, code=first.code, where=first.where, hint=first.hint)
    error.findings = found
    return error


def named_documents(documents: Documents) -> list[tuple[str, str]]:
    """Names for messages, and texts. A folder stands for its JSON files but the schema."""
    if isinstance(documents, Path) and documents.is_dir():
        documents = sorted(path for path in documents.glob("*.json") if path.name != "schema.json")
    many = isinstance(documents, Sequence) and not isinstance(documents, (str, bytes))
    given: list[Document] = list(documents) if many else [documents]  # type: ignore[arg-type,list-item]
    return [(_name_of(one, i if many else None), _text_of(one)) for i, one in enumerate(given)]


def named_tables(tables: Tables | None) -> list[tuple[str, str]]:
    """Names by which conditions call them, and texts."""
    if isinstance(tables, Path):
        if not tables.is_dir():
            raise UsageError(
                f"{tables} is no folder", code="usage.tables", hint="give the folder with a file NAME.json per table"
            )
        tables = {path.stem: path for path in sorted(tables.glob("*.json"))}
    return [(name, _text_of(document)) for name, document in (tables or {}).items()]


def named_overlays(overlays: Mapping[str, Document | None]) -> list[tuple[str, str | None]]:
    """Clients and texts; None takes an overlay away."""
    return [(client, None if one is None else named_documents(one)[0][1]) for client, one in overlays.items()]


def _name_of(document: Document, index: int | None) -> str:
    if isinstance(document, Path):
        return document.name
    return "policy" if index is None else f"policy {index}"


def _text_of(document: Document) -> str:
    if isinstance(document, Path):
        document = document.read_bytes()
    if isinstance(document, bytes):
        try:
            return document.decode()
        except UnicodeDecodeError as problem:
            raise PolicyError(
                "not valid UTF-8", code="policy.utf8", where=f"byte {problem.start}", hint="encode the document as UTF-8"
            ) from None
    if isinstance(document, Mapping):
        document = json.dumps(document, ensure_ascii=False, indent=1, default=_not_json)
    if isinstance(document, str):
        try:
            document.encode()
        except UnicodeEncodeError as problem:
            raise PolicyError(
                "a lone surrogate",
                code="policy.utf8",
                where=f"character {problem.start}",
                hint="decode the text with its real encoding",
            ) from None
        return document
    raise UsageError(
        f"a policy of type {type(document).__name__}", code="usage.policy", hint="give JSON text, bytes, a mapping or a Path"
    )


def _not_json(value: object) -> object:
    raise UsageError(
        f"a value of type {type(value).__name__} in a policy", code="usage.policy", hint="a policy is made of JSON values"
    )


def _schema_text(schema: Schema | None) -> str:
    if isinstance(schema, Mapping):
        return json.dumps(schema)
    if isinstance(schema, bytes):
        return schema.decode(errors="replace")
    if isinstance(schema, str) and schema.lstrip().startswith("{"):
        return schema
    return Path(str(schema)).read_text(encoding="utf-8")


# ---- fields of documents that come without a schema ----


def _guess(documents: list[tuple[str, str]], tables: _core.LookupTables) -> Types:
    """Fields that the conditions read and the tests set. Types that no test shows are chosen so that the checker finds the fewest
    errors, field by field."""
    types: Types = {}
    shown: set[tuple[str, str]] = set()
    for _, text in documents:
        try:
            document = json.loads(text)
        except ValueError:
            continue  # the compiler says what is wrong, and where
        if not isinstance(document, dict):
            continue
        for rule in [*_objects(document.get("rules")), *_objects(document.get("invariants"))]:
            for role, name in _NAMES.findall(str(rule.get("when", ""))):
                if name not in _IMPLICIT[role]:
                    types.setdefault((role, name), _TYPES[0])
        for test in _objects(document.get("tests")):
            types = _types_of_values(types, _objects([test.get("task")]), _objects([test.get("candidate")]), shown)

    def errors() -> int:
        return sum(entry["error"] for entry in _core.PolicySet.compile(documents, _schema_of(types), tables)[1])

    fewest = errors()
    for _ in range(2):
        for name in types:
            if fewest == 0:
                return types
            best = types[name]
            for kind in _WIDER.get(best, ()) if name in shown else _TYPES:
                types[name] = kind
                if (count := errors()) < fewest:
                    fewest, best = count, kind
            types[name] = best
    return types


def _objects(values: object) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _mappings(rows: object, what: str) -> list[dict[str, Any]]:
    if isinstance(rows, (bytes, bytearray)):
        content = bytes(rows)
    elif hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
        raise UsageError(
            "a table for a policy without schema", code="usage.no_schema", where=what, hint="compile the policy with schema=…"
        )
    elif isinstance(rows, Mapping):
        return [dict(rows)]
    elif isinstance(rows, Sequence) and not isinstance(rows, str) and all(isinstance(row, Mapping) for row in rows):
        return [dict(row) for row in rows]
    else:
        content = encode(rows, what)
    try:
        parsed = json.loads(content)
    except ValueError:
        return []  # the reader says what is wrong
    return _objects(parsed if isinstance(parsed, list) else [parsed])


def _types_of_values(
    known: Types, tasks: list[dict[str, Any]], candidates: list[dict[str, Any]], shown: set[tuple[str, str]] | None = None
) -> Types:
    """The types, corrected by values: what is given decides, but that whole numbers are doubles too and texts may be times."""
    types = dict(known)
    for rows, roles in ((tasks, ("task",)), (candidates, ("action", "candidate"))):
        for row in rows:
            for name, value in row.items():
                kind = _type_of(value)
                homes = [role for role in roles if (role, name) in types] or [roles[0]]
                for role in homes:
                    if kind is None or name in _IMPLICIT[role]:
                        continue
                    types[role, name] = _joined(types.get((role, name)), kind)
                    if shown is not None:
                        shown.add((role, name))
    return types


def _type_of(value: object) -> str | None:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "double"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "list<string>"
    if hasattr(value, "tzinfo"):
        return "timestamp"
    return None


def _joined(known: str | None, given: str) -> str:
    if known == "double" and given == "int":
        return "double"
    if known == "timestamp" and given in {"int", "string"}:
        return "timestamp"
    return given


def _schema_of(types: Types) -> str:
    document: dict[str, list[dict[str, object]]] = {role: [] for role in _ROLES}
    for (role, name), kind in types.items():
        document[role].append({"name": name, "type": kind, "optional": True})
    return json.dumps(document)
