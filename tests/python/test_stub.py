"""The stub of the compiled module names exactly what the module holds."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import opspilot
from opspilot import _core


def _names(body: list[ast.stmt]) -> set[str]:
    names = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_the_stub_is_complete() -> None:
    stub = ast.parse((Path(opspilot.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
    assert _names(stub.body) == {name for name in dir(_core) if not name.startswith("_")}
    classes = [node for node in stub.body if isinstance(node, ast.ClassDef)]
    assert {node.name for node in classes} == {name for name, _ in inspect.getmembers(_core, inspect.isclass)}
    for node in classes:
        members = {name for name in dir(getattr(_core, node.name)) if not name.startswith("_")}
        assert _names(node.body) == members, node.name
