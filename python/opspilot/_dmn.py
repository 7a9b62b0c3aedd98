"""Decision tables of DMN (OMG, 1.1 to 1.4) as policy documents: reading the XML, cells to conditions, rows to rules."""

from __future__ import annotations

import re
import xml.parsers.expat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from opspilot import _core
from opspilot._dmn_cells import Cell, CellError, Kind, feel_literal, kind_of, unary_tests
from opspilot._dmn_regions import Gap, find_gaps, meet
from opspilot.errors import PolicyError

_MOST_BYTES = 4 << 20
_DEEPEST = 64
_MOST_ROWS = 2000
_NAMESPACE = re.compile(r"https?://www\.omg\.org/spec/DMN/\d+/MODEL/?")
_HIT_POLICIES = ("UNIQUE", "FIRST", "PRIORITY", "ANY", "COLLECT", "RULE ORDER")
#: Keys of a rule that an output column may give, by the kind of value they take.
_KEYS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "effect": str,
    "queue": str,
    "because": str,
    "by": (int, float),
    "locked": bool,
    "on_error": str,
}
#: Texts of an effect that stand for no rule: the row decides that nothing is asked for.
_NOTHING = {"", "none", "allow"}


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """What came of a decision table.

    ``document``: the policy document. ``gaps``: inputs that no row matches, each as a mapping of input to an example value;
    inputs that are left out may be anything. ``overlaps``: pairs of rows that match a common input, with an example, where the
    hit policy allows them. ``decided`` is False where not all gaps were looked for.
    """

    name: str
    hit_policy: str
    document: dict[str, Any]
    gaps: list[dict[str, Any]]
    overlaps: list[tuple[int, int, dict[str, Any]]]
    decided: bool
    inputs: dict[str, str]


@dataclass(slots=True)
class _Element:
    tag: str
    attributes: dict[str, str]
    children: list[_Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all(self, tag: str) -> list[_Element]:
        return [child for child in self.children if child.tag == tag]

    def first(self, tag: str) -> _Element | None:
        return next((child for child in self.children if child.tag == tag), None)

    def text(self, tag: str = "text") -> str:
        """The text inside a child, "" when there is none."""
        child = self.first(tag)
        return "".join(child.texts).strip() if child is not None else ""


@dataclass(slots=True)
class _Row:
    number: int
    cells: list[Cell]
    outputs: dict[str, Any]
    because: str
    condition: str


def read(
    xml_text: str | bytes,
    *,
    decision: str | None,
    fields: Mapping[str, str] | None,
    outputs: Mapping[str, str] | None,
    effects: Mapping[str, str] | None,
    layer: str,
    version: str,
) -> DecisionTable:
    """``opspilot.policy.from_dmn``."""
    root = _parse(xml_text)
    if root.tag != "definitions":
        _refuse("policy.dmn_format", "no DMN definitions", f"element '{root.tag}'", "give a DMN file, version 1.1 to 1.4")
    name, table = _table(root, decision)
    types = {definition.attributes.get("name", ""): definition for definition in root.all("itemDefinition")}
    return _Reader(name, table, types, dict(fields or {}), dict(outputs or {}), dict(effects or {})).run(layer, version)


def _refuse(code: str, message: str, where: str, hint: str = "") -> NoReturn:
    raise PolicyError(message, code=code, where=where, hint=hint)


# ---- XML ----


def _parse(content: str | bytes) -> _Element:
    """Elements of the DMN namespace by local name; others are left out with all that is in them. No document type, so no entities
    but the five of XML."""
    data = content.encode() if isinstance(content, str) else content
    if len(data) > _MOST_BYTES:
        _refuse("policy.dmn_size", f"{len(data)} bytes; the limit is {_MOST_BYTES}", "", "split the model")
    parser = xml.parsers.expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    open_elements: list[_Element | None] = []
    root: list[_Element] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) >= _DEEPEST:
            _refuse("policy.dmn_depth", f"nested more than {_DEEPEST} levels deep", f"line {parser.CurrentLineNumber}")
        namespace, _, local = tag.rpartition("}")
        parent = open_elements[-1] if open_elements else None
        if not _NAMESPACE.fullmatch(namespace) or (open_elements and parent is None):
            open_elements.append(None)
            if len(open_elements) == 1:
                _refuse("policy.dmn_format", "no DMN definitions", f"element '{local or tag}'", "give a DMN file, 1.1 to 1.4")
            return
        element = _Element(local, dict(attributes))
        (parent.children if parent is not None else root).append(element)
        open_elements.append(element)

    def text(data: str) -> None:
        if open_elements and open_elements[-1] is not None:
            open_elements[-1].texts.append(data)

    def no_doctype(*_: object) -> None:
        _refuse("policy.dmn_doctype", "a document type declaration", f"line {parser.CurrentLineNumber}", "take it out")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = no_doctype
    parser.EntityDeclHandler = no_doctype
    try:
        parser.Parse(data, True)
    except xml.parsers.expat.ExpatError as problem:
        where = f"line {problem.lineno} column {problem.offset + 1}"
        _refuse("policy.dmn_xml", f"not XML: {xml.parsers.expat.ErrorString(problem.code)}", where)
    return root[0]


def _table(root: _Element, wanted: str | None) -> tuple[str, _Element]:
    """The decision table that is asked for, or the only one."""
    tables = {}
    for decision in root.all("decision"):
        table = decision.first("decisionTable")
        name = decision.attributes.get("name", decision.attributes.get("id", ""))
        if table is not None:
            tables[name] = (decision.attributes.get("id"), table)
        elif wanted in (name, decision.attributes.get("id")):
            _refuse("policy.dmn_no_table", "the decision is no decision table", f"decision '{name}'", "only tables are read")
    found = [(name, table) for name, (id, table) in tables.items() if wanted in (None, name, id)]
    if not found:
        known = ", ".join(tables) or "none"
        _refuse("policy.dmn_no_table", "no such decision table", f"decision '{wanted or ''}'", f"tables of the file: {known}")
    if len(found) > 1:
        _refuse("policy.dmn_many", f"{len(found)} decision tables", "", f"say which: {', '.join(name for name, _ in found)}")
    return found[0]


# ---- the table ----


class _Reader:
    def __init__(
        self,
        name: str,
        table: _Element,
        types: dict[str, _Element],
        fields: dict[str, str],
        outputs: dict[str, str],
        effects: dict[str, str],
    ) -> None:
        self._name, self._table, self._types = name, table, types
        self._fields, self._outputs, self._effects = fields, outputs, effects

    def run(self, layer: str, version: str) -> DecisionTable:
        policy, summed = self._hit_policy()
        inputs = self._inputs()
        keys = self._output_keys()
        if summed and list(keys) != ["by"]:
            self._fail("policy.dmn_aggregation", "aggregation SUM adds numbers", "", "of one output, the rules' 'by'")
        rows = [self._row(number, rule, inputs, keys) for number, rule in enumerate(self._table.all("rule"), 1)]
        if not rows:
            self._fail("policy.dmn_empty", "the table has no rule", "")
        if len(rows) > _MOST_ROWS:
            self._fail("policy.dmn_size", f"{len(rows)} rules; the limit is {_MOST_ROWS}", "", "split the table")
        domains = [allowed for _, _, allowed in inputs.values()]
        names = list(inputs)
        overlaps = []
        for i, first in enumerate(rows):
            for second in rows[i + 1 :]:
                common = meet(first.cells, second.cells, domains)
                if common is not None:
                    overlaps.append((first.number, second.number, self._example(names, common)))
        self._check_overlaps(policy, rows, overlaps)
        ordered = self._by_priority(rows) if policy == "PRIORITY" else rows
        if policy in ("FIRST", "PRIORITY"):
            self._only_the_first(ordered, {frozenset(pair[:2]) for pair in overlaps})
        gaps, decided = find_gaps([row.cells for row in rows], domains)
        return DecisionTable(
            self._name,
            policy,
            self._document(rows, keys, layer, version),
            [self._example(names, gap) for gap in gaps],
            overlaps,
            decided,
            {name: path for name, (path, _, _) in inputs.items()},
        )

    def _fail(self, code: str, message: str, place: str, hint: str = "") -> NoReturn:
        _refuse(code, message, f"decision '{self._name}'" + (f" {place}" if place else ""), hint)

    def _hit_policy(self) -> tuple[str, bool]:
        policy = self._table.attributes.get("hitPolicy", "UNIQUE").strip().upper()
        if policy not in _HIT_POLICIES:
            known = ", ".join(_HIT_POLICIES)
            self._fail("policy.dmn_hit_policy", f"hit policy {policy} cannot be told by rules", "", f"one of: {known}")
        aggregation = self._table.attributes.get("aggregation", "").upper()
        if aggregation not in ("", "SUM"):
            self._fail(
                "policy.dmn_aggregation", f"aggregation {aggregation} cannot be told by rules", "", "only SUM can, of 'by'"
            )
        return policy, aggregation == "SUM"

    def _inputs(self) -> dict[str, tuple[str, Kind, Cell | None]]:
        """By the text of the input expression: the field, its kind, and the values that are allowed."""
        found: dict[str, tuple[str, Kind, Cell | None]] = {}
        for number, given in enumerate(self._table.all("input"), 1):
            expression = given.first("inputExpression")
            text = expression.text() if expression is not None else ""
            name = text or given.attributes.get("label", "")
            place = f"input {number} '{name}'"
            type_name, values = self._type(expression.attributes.get("typeRef", "") if expression is not None else "")
            kind = kind_of(type_name)
            if kind is None:
                self._fail(
                    "policy.dmn_type", f"type '{type_name}' has no counterpart", place, "string, number, boolean, date, dateTime"
                )
            own = given.first("inputValues")
            values = own.text() if own is not None and own.text() else values
            allowed = self._cell(values, kind, f"{place} allowed values") if values else None
            if name in found:
                self._fail("policy.dmn_input", "two inputs of one expression", place, "join the columns")
            found[name] = (self._field(name, place), kind, allowed)
        if not found:
            self._fail("policy.dmn_empty", "the table has no input", "")
        return found

    def _type(self, name: str) -> tuple[str, str]:
        """The type that a definition of the model is made of, and the values that it allows."""
        values = ""
        for _ in range(8):
            definition = self._types.get(name)
            if definition is None or kind_of(name) is not None or definition.attributes.get("isCollection") == "true":
                break
            allowed = definition.first("allowedValues")
            values = values or (allowed.text() if allowed is not None else "")
            name = definition.text("typeRef")
        return name, values

    def _field(self, name: str, place: str) -> str:
        """``fields`` says it; else task.x, action.x and candidate.x are themselves, and another name is a field of the task."""
        path = self._fields.get(name)
        if path is None:
            plain = re.sub(r"\s+", "_", name.strip())
            path = plain if re.match(r"(task|action|candidate)\.", plain) else f"task.{plain}"
        if not re.fullmatch(r"(task|action|candidate)\.[A-Za-z_]\w{0,63}", path, re.ASCII):
            self._fail("policy.dmn_input", f"'{path}' names no field", place, f"say by fields={{'{name}': 'task.…'}}")
        return path

    def _output_keys(self) -> dict[str, _Element]:
        """By the key of a rule: the column that gives it."""
        found: dict[str, _Element] = {}
        columns = self._table.all("output")
        for number, given in enumerate(columns, 1):
            name = given.attributes.get("name") or given.attributes.get("label") or ""
            key = self._outputs.get(name, name.strip().lower())
            if key not in _KEYS and len(columns) == 1 and name not in self._outputs:
                key = "by" if self._table.attributes.get("aggregation") else "effect"
            place = f"output {number} '{name}'"
            if key not in _KEYS or key in found:
                known = ", ".join(_KEYS)
                self._fail("policy.dmn_output", f"'{key}' is no key of a rule, or given twice", place, f"by outputs=…: {known}")
            found[key] = given
        if "effect" not in found and "by" not in found:
            self._fail("policy.dmn_output", "no output gives the effect", "", "name one 'effect', or map one by outputs=…")
        return found

    def _cell(self, text: str, kind: Kind, place: str) -> Cell:
        try:
            return unary_tests(text, kind)
        except CellError as problem:
            self._fail("policy.dmn_cell", f"'{text}': {problem}", place, problem.hint)

    def _row(
        self, number: int, rule: _Element, inputs: dict[str, tuple[str, Kind, Cell | None]], keys: dict[str, _Element]
    ) -> _Row:
        given, wanted = rule.all("inputEntry"), rule.all("outputEntry")
        if len(given) != len(inputs) or len(wanted) != len(keys):
            self._fail(
                "policy.dmn_row",
                f"{len(given)} and {len(wanted)} entries for {len(inputs)} inputs and {len(keys)} outputs",
                f"rule {number}",
            )
        cells, parts = [], []
        for (name, (path, kind, _)), entry in zip(inputs.items(), given, strict=True):
            cell = self._cell(entry.text(), kind, f"rule {number} input '{name}'")
            cells.append(cell)
            if (condition := cell.condition(path)) is not None:
                parts.append(condition)
        outputs = {
            key: self._output(entry.text(), key, f"rule {number} output '{key}'") for key, entry in zip(keys, wanted, strict=True)
        }
        notes = [rule.text("description"), *(entry.text() for entry in rule.all("annotationEntry"))]
        because = next((note for note in notes if note), f"Row {number} of the decision table {self._name}.")
        condition = _core.format_condition(" && ".join(f"({part})" for part in parts) or "true")
        return _Row(number, cells, outputs, because, condition)

    def _output(self, text: str, key: str, place: str) -> Any:
        if text in ("", "-", "null"):
            return None
        if key == "effect" and text in self._effects:
            return self._effects[text]
        try:
            value = feel_literal(text)
        except CellError as problem:
            self._fail("policy.dmn_cell", f"'{text}': {problem}", place, problem.hint)
        if key == "effect" and isinstance(value, str):
            value = self._effects.get(value, value)
        kinds = _KEYS[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            self._fail("policy.dmn_cell", f"'{text}' is no value for '{key}'", place)
        return value

    def _example(self, names: list[str], values: Gap) -> dict[str, Any]:
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def _check_overlaps(self, policy: str, rows: list[_Row], overlaps: list[tuple[int, int, dict[str, Any]]]) -> None:
        for first, second, example in overlaps:
            same = rows[first - 1].outputs == rows[second - 1].outputs
            if policy == "UNIQUE" or (policy == "ANY" and not same):
                what = "match" if policy == "UNIQUE" else "give different outputs for"
                self._fail(
                    "policy.dmn_overlap",
                    f"hit policy {policy}, but rules {first} and {second} both {what} {_shown(example)}",
                    f"rule {second}",
                    "part the rows, or choose FIRST or PRIORITY",
                )

    def _by_priority(self, rows: list[_Row]) -> list[_Row]:
        """Highest output value first, by the order of the columns' output values; ties as they stand."""
        orders = []
        for key, given in self._output_keys().items():
            values = given.first("outputValues")
            if values is None:
                continue
            texts = list(_items(values.text()))
            orders.append((key, [self._output(text, key, f"values of output '{key}'") for text in texts]))
        if not orders:
            self._fail("policy.dmn_priority", "hit policy PRIORITY without output values", "", "list them, highest first")

        def rank(row: _Row) -> list[int]:
            try:
                return [order.index(row.outputs[key]) for key, order in orders]
            except ValueError:
                self._fail("policy.dmn_priority", "an output that is not among the output values", f"rule {row.number}")

        return sorted(rows, key=rank)

    def _only_the_first(self, ordered: list[_Row], overlapping: set[frozenset[int]]) -> None:
        """Every row holds only where none before it does."""
        own = {row.number: row.condition for row in ordered}
        for i, row in enumerate(ordered):
            before = [own[other.number] for other in ordered[:i] if frozenset((row.number, other.number)) in overlapping]
            if before:
                parts = [f"({own[row.number]})", *(f"!({other})" for other in before)]
                row.condition = _core.format_condition(" && ".join(parts))

    def _document(self, rows: list[_Row], keys: dict[str, _Element], layer: str, version: str) -> dict[str, Any]:
        slug = re.sub(r"[^A-Za-z0-9]+", "-", self._name).strip("-").lower() or "table"
        rules = []
        for row in rows:
            rule = self._rule(row.outputs, f"{slug}-{row.number}", row.condition, row.because, f"rule {row.number}")
            if rule is not None:
                rules.append(rule)
        defaults = {}
        for key, given in keys.items():
            entry = given.first("defaultOutputEntry")
            if entry is not None:
                defaults[key] = self._output(entry.text(), key, f"default of output '{key}'")
        if any(value is not None for value in defaults.values()):
            condition = _core.format_condition("!(" + " || ".join(f"({row.condition})" for row in rows) + ")")
            because = f"No row of the decision table {self._name} applies."
            rule = self._rule({**dict.fromkeys(keys), **defaults}, f"{slug}-default", condition, because, "default")
            rules += [rule] if rule is not None else []
        return {
            "$schema": "https://opspilot.dev/schemas/policy.schema.json",
            "layer": layer,
            "version": version,
            "name": self._name,
            "rules": rules,
        }

    def _rule(self, outputs: dict[str, Any], id: str, condition: str, because: str, place: str) -> dict[str, Any] | None:
        effect = outputs.get("effect")
        if "effect" not in outputs and outputs.get("by") is not None:
            effect = "boost" if outputs["by"] > 0 else "penalise"
            outputs = {**outputs, "by": abs(outputs["by"])}
        if effect is None or effect in _NOTHING or (effect in ("boost", "penalise") and outputs.get("by") == 0):
            return None
        rule = {"id": id, "when": condition, "effect": effect, "because": because}
        rule |= {key: value for key, value in outputs.items() if value is not None and key != "effect"}
        if not str(rule["because"]).strip():
            self._fail("policy.dmn_cell", "an empty reason", f"{place} output 'because'")
        return rule


def _items(text: str) -> Iterator[str]:
    """Texts between commas that stand outside of quotes."""
    for item in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', text):
        yield item.strip()


def _shown(example: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in example.items()) or "any input"
