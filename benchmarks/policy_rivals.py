"""Engines that answer the same rules. All are optional (requirements-policy-rivals.txt; cel-go and OPA are built from go_rivals
where there is a Go toolchain). What is slow sees the first candidates only, and is scaled."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CACHE, Absent, version_of
from policy_rules import TASK, Row, Rule, cedar_policies, rego_module, thousandths

GO = Path(__file__).resolve().parent / "go_rivals"


@dataclass(frozen=True)
class Engine:
    """``run`` evaluates all rules over the first ``candidates``; ``hits`` counts per rule in what it gave. ``own_clock``: gives
    (seconds of processor time, hits) of another process instead."""

    name: str
    run: Callable[[], Any]
    candidates: int
    hits: Callable[[Any], list[int]] = list
    own_clock: bool = False
    version: str = ""
    note: str = ""


class Rivals:
    def __init__(self, rules: list[Rule], rows: list[Row], folder: Path) -> None:
        self.rules, self.rows, self.folder = rules, rows, folder
        self.go: subprocess.Popen[str] | None = None

    def all(self) -> list[Engine | Absent]:
        makers: dict[str, Callable[[], Engine]] = {
            "cel-go, native": lambda: self._go("cel", len(self.rows)),
            "OPA, native": lambda: self._go("opa", len(self.rows)),
            "plain Python": self._python,
            "DuckDB, prepared": self._duckdb,
            "cel-cpp (cel-expr-python)": self._cel_cpp,
            "Rust cel (common-expression-language)": self._rust_cel,
            "Cedar (cedarpy)": self._cedar,
            "zen-engine": self._zen,
            "rego-cpp (regopy)": self._regopy,
            "cel-python": self._cel_python,
        }
        return [_attempt(name, make) for name, make in makers.items()]

    def close(self) -> None:
        if self.go is not None:
            assert self.go.stdin is not None
            self.go.stdin.close()
            self.go.wait(10)

    def ask(self, question: str) -> tuple[float, list[int]]:
        """A line to the Go process: seconds of its processor time, and hits."""
        process = self._go_process()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(question + "\n")
        process.stdin.flush()
        answer = [int(word) for word in process.stdout.readline().split()]
        return answer[0] / 1e9, answer[1:]

    def _go_process(self) -> subprocess.Popen[str]:
        if self.go is None:
            go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
            if go is None:
                raise FileNotFoundError("no Go toolchain")
            binary = CACHE / "go_rivals"
            CACHE.mkdir(parents=True, exist_ok=True)
            built = subprocess.run([go, "build", "-o", str(binary), "."], cwd=GO, capture_output=True, text=True, check=False)
            if built.returncode != 0:
                raise RuntimeError(f"does not build: {built.stderr}")
            given = {"cel": [r.cel for r in self.rules], "rego": rego_module(self.rules), "task": TASK, "actions": self.rows}
            path = self.folder / "rivals.json"
            path.write_text(json.dumps(given), encoding="utf-8")
            self.go = subprocess.Popen([str(binary), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self.go.stdout is not None
            if self.go.stdout.readline() != "ready\n":
                raise RuntimeError("the Go program does not start")
        return self.go

    def _go(self, what: str, count: int) -> Engine:
        self._go_process()
        modules = (GO / "go.mod").read_text(encoding="utf-8")
        module = "cel.dev/cel-go" if what == "cel" else "github.com/open-policy-agent/opa"
        version = re.search(rf"{module} v(\S+)", modules)
        name = "cel-go, native" if what == "cel" else "OPA, native"
        return Engine(
            name,
            lambda: self.ask(f"{what} {count}"),
            count,
            own_clock=True,
            version=version[1] if version else "",
        )

    def _python(self) -> Engine:
        lines = [f"    if {rule.python}: hits[{i}] += 1" for i, rule in enumerate(self.rules)]
        space: dict[str, Any] = {"search": re.search}
        exec("def run(task, actions, hits):\n  for action in actions:\n" + "\n".join(lines) + "\n  return hits", space)
        return Engine("plain Python", lambda: space["run"](TASK, self.rows, [0] * len(self.rules)), len(self.rows))

    def _duckdb(self) -> Engine:
        import duckdb
        import pyarrow

        connection = duckdb.connect(config={"threads": 1})
        actions = pyarrow.Table.from_pylist(self.rows)  # noqa: F841  (DuckDB reads it by its name)
        connection.execute("CREATE TABLE action AS SELECT * FROM actions")
        parameters: list[Any] = []

        def sql(rule: Rule) -> str:
            return re.sub(r"\$(\w+)", lambda name: f"${list(TASK).index(name[1]) + 1}", rule.sql)

        parameters = list(TASK.values())
        typed = ["VARCHAR", "DOUBLE", "BIGINT", "VARCHAR", "VARCHAR[]", "DOUBLE", "VARCHAR"]
        columns = ", ".join(f"({sql(rule)}) AS r{i}" for i, rule in enumerate(self.rules))
        columns = re.sub(r"\$(\d+)", lambda n: f"${n[1]}::{typed[int(n[1]) - 1]}", columns)
        connection.execute(f"PREPARE rules AS SELECT {columns} FROM action")
        values = ", ".join(repr(value) for value in parameters)
        return Engine(
            "DuckDB, prepared",
            lambda: connection.execute(f"EXECUTE rules({values})").fetchnumpy(),
            len(self.rows),
            lambda columns: [int(np.ma.filled(column, False).sum()) for column in columns.values()],
            version=version_of("duckdb"),
        )

    def _cel_cpp(self) -> Engine:
        from cel_expr_python import cel

        record = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        env = cel.NewEnv(variables={"task": record, "action": record})
        compiled = [env.compile(rule.cel) for rule in self.rules]

        def run() -> list[int]:
            hits = [0] * len(compiled)
            for row in self.rows:
                bound = env.Activation({"task": TASK, "action": row})
                for i, rule in enumerate(compiled):
                    if rule.eval(bound).value() is True:
                        hits[i] += 1
            return hits

        return Engine("cel-cpp (cel-expr-python)", run, len(self.rows), version=version_of("cel-expr-python"))

    def _rust_cel(self) -> Engine:
        import cel

        compiled = [cel.compile(rule.cel) for rule in self.rules]
        rows = self.rows[:1000]

        def run() -> list[int]:
            hits = [0] * len(compiled)
            for row in rows:
                bound = cel.Context({"task": TASK, "action": row})
                for i, rule in enumerate(compiled):
                    if rule.execute(bound) is True:
                        hits[i] += 1
            return hits

        name = "Rust cel (common-expression-language)"
        return Engine(name, run, len(rows), version=version_of("common-expression-language"))

    def _cedar(self) -> Engine:
        import cedarpy

        policies = cedarpy.PolicySet.from_str(cedar_policies(self.rules))
        task = thousandths(TASK)
        requests = [
            {
                "principal": 'User::"u"',
                "action": 'Action::"a"',
                "resource": 'R::"r"',
                "context": {"task": task, "action": thousandths(r)},
            }
            for r in self.rows
        ]

        def hits(answers: Any) -> list[int]:
            found = [0] * len(self.rules)
            for answer in answers:
                for reason in answer.diagnostics.reasons:
                    found[int(reason.removeprefix("policy"))] += 1
            return found

        return Engine(
            "Cedar (cedarpy)",
            lambda: cedarpy.is_authorized_batch(requests, policies, []),
            len(self.rows),
            hits,
            version=version_of("cedarpy"),
            note="numbers as thousandths, regular expressions as like",
        )

    def _zen(self) -> Engine:
        import zen

        compiled = [zen.compile_expression(rule.zen) for rule in self.rules]
        rows = self.rows[:400]

        def run() -> list[int]:
            hits = [0] * len(compiled)
            for row in rows:
                bound = {"task": TASK, "action": row}
                for i, rule in enumerate(compiled):
                    if rule.evaluate(bound) is True:
                        hits[i] += 1
            return hits

        return Engine("zen-engine", run, len(rows), version=version_of("zen-engine"))

    def _regopy(self) -> Engine:
        import regopy

        engine = regopy.Interpreter()
        engine.add_module("rules", rego_module(self.rules))
        rows = self.rows[:40]

        def run() -> list[int]:
            hits = [0] * len(self.rules)
            for row in rows:
                engine.set_input({"task": TASK, "action": row})
                found = json.loads(str(engine.query("data.rules.hit")))
                for i in found["expressions"][0]:
                    hits[int(i)] += 1
            return hits

        return Engine("rego-cpp (regopy)", run, len(rows), version=version_of("regopy"))

    def _cel_python(self) -> Engine:
        import celpy

        env = celpy.Environment()
        compiled = [env.program(env.compile(rule.cel)) for rule in self.rules]
        rows = self.rows[:20]

        def run() -> list[int]:
            hits = [0] * len(compiled)
            for row in rows:
                bound = {"task": celpy.json_to_cel(TASK), "action": celpy.json_to_cel(row)}
                for i, rule in enumerate(compiled):
                    if rule.evaluate(bound):
                        hits[i] += 1
            return hits

        return Engine("cel-python", run, len(rows), version=version_of("cel-python"))


def _attempt(name: str, make: Callable[[], Engine]) -> Engine | Absent:
    try:
        return make()
    except ImportError as problem:
        return Absent(name, f"not installed ({problem})".replace("\n", " ")[:160])
    except Exception as problem:  # whatever a rival throws at its own set-up
        return Absent(name, f"{type(problem).__name__}: {problem}".replace("\n", " ")[:160])
