"""Conditions of the shapes that policies have, and the made-up task and actions that they are about."""

from __future__ import annotations

import random
from typing import Any, Final

Row = dict[str, Any]

TASK: Final[Row] = {
    "tier": "gold",
    "amount": 320.0,
    "priority": 2,
    "region": "g1",
    "allowed": ["k1", "k2", "k5", "k7", "k8", "k9"],
    "penalty": 40.0,
    "language": "l0",
}
#: Types as a bundle's schema names them.
CONDITION_FIELDS: Final = {
    "task.tier": "string",
    "task.amount": "double",
    "task.priority": "int",
    "task.region": "string",
    "task.allowed": "list<string>",
    "task.penalty": "double",
    "task.language": "string",
    "action.kind": "string",
    "action.name": "string",
    "action.risk": "double",
    "action.requires_approval": "bool",
    "action.region": "string",
    "action.skill": "int",
    "action.load": "int",
    "action.cost": "double",
    "action.channel": "string",
}
SHAPES: Final = 8


def described_actions(count: int, seed: int = 1) -> list[Row]:
    """Rows with about ``count`` / 2 different names; three in ten have no region."""
    pick = random.Random(seed)
    rows: list[Row] = []
    for i in range(count):
        row: Row = {
            "id": f"a{i}",
            "kind": f"k{pick.randrange(12)}",
            "name": f"n{pick.randrange(1500)}{pick.choice('xy')}",
            "risk": pick.randrange(1000) / 1000,
            "requires_approval": pick.randrange(3) == 0,
            "skill": pick.randrange(10),
            "load": pick.randrange(100),
            "cost": pick.randrange(1000) / 10,
            "channel": f"c{pick.randrange(4)}",
        }
        if pick.randrange(10) >= 3:
            row["region"] = f"g{pick.randrange(4)}"
        rows.append(row)
    return rows


def conditions(count: int) -> list[str]:
    return [condition(i % SHAPES, i // SHAPES) for i in range(count)]


def condition(shape: int, c: int) -> str:
    """The ``c``-th of a shape."""
    made = (
        f"task.tier == '{'silver' if c % 2 else 'gold'}' && action.risk > {(200 + 100 * c % 701) / 1000} && "
        f"!(action.kind in ['k{c % 12}', 'k{(c + 4) % 12}'])",
        f"task.amount < {100 * (c + 1)}.0 || action.requires_approval",
        f"action.name.startsWith('n{c % 10}') && task.priority >= {c % 4}",
        f"action.name.matches('^n[0-9]*{c % 10}.*x$')",
        f"has(action.region) && action.region == task.region && action.skill > {c % 9}",
        f"action.kind in task.allowed && action.load < {10 * (c % 7 + 3)}",
        f"action.cost * 2.0 + task.penalty * 0.5 > {10 * (c % 12 + 4)}.0",
        f"task.language in ['l{c % 2}'] && action.channel != 'c{c % 3}'",
    )
    return made[shape]
