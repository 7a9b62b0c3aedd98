"""Fifty rules of the shapes that policies have, in the languages of the engines that are compared, over made-up actions."""

from __future__ import annotations

from dataclasses import dataclass

from opspilot._bench.conditions import CONDITION_FIELDS, SHAPES, TASK, Row, condition, described_actions

__all__ = ["SHAPES", "TASK", "VARIABLES", "Row", "Rule", "described_actions", "rules"]

VARIABLES = {path: kind.replace("<", "(").replace(">", ")") for path, kind in CONDITION_FIELDS.items()}
#: Cedar has no fractions: its numbers are thousandths.
SCALE = 1000


@dataclass(frozen=True)
class Rule:
    cel: str
    python: str
    sql: str
    rego: tuple[str, ...]  # bodies, any of which is enough
    cedar: str
    zen: str


def rules(count: int = 50) -> list[Rule]:
    return [_rule(i % SHAPES, i // SHAPES) for i in range(count)]


def _rule(shape: int, c: int) -> Rule:
    cel = condition(shape, c)
    if shape == 0:
        tier, risk, kinds = "gold" if c % 2 == 0 else "silver", (200 + 100 * c % 701) / 1000, (c % 12, (c + 4) % 12)
        listed = ", ".join(f"'k{k}'" for k in kinds)
        quoted = listed.replace("'", '"')
        return Rule(
            cel,
            f"task['tier'] == '{tier}' and action['risk'] > {risk} and action['kind'] not in ({listed})",
            f"$tier = '{tier}' AND risk > {risk} AND kind NOT IN ({listed})",
            (f'input.task.tier == "{tier}"; input.action.risk > {risk}; not input.action.kind in {{{quoted}}}',),
            f'context.task.tier == "{tier}" && context.action.risk > {round(risk * SCALE)} && '
            f"!([{quoted}].contains(context.action.kind))",
            f"task.tier == '{tier}' and action.risk > {risk} and not (action.kind in [{listed}])",
        )
    if shape == 1:
        limit = 100 * (c + 1)
        return Rule(
            cel,
            f"task['amount'] < {limit}.0 or action['requires_approval']",
            f"$amount < {limit}.0 OR requires_approval",
            (f"input.task.amount < {limit}", "input.action.requires_approval"),
            f"context.task.amount < {limit * SCALE} || context.action.requires_approval",
            f"task.amount < {limit} or action.requires_approval",
        )
    if shape == 2:
        start, priority = f"n{c % 10}", c % 4
        return Rule(
            cel,
            f"action['name'].startswith('{start}') and task['priority'] >= {priority}",
            f"starts_with(name, '{start}') AND $priority >= {priority}",
            (f'startswith(input.action.name, "{start}"); input.task.priority >= {priority}',),
            f'context.action.name like "{start}*" && context.task.priority >= {priority}',
            f"startsWith(action.name, '{start}') and task.priority >= {priority}",
        )
    if shape == 3:
        digit = c % 10
        pattern = f"^n[0-9]*{digit}.*x$"
        return Rule(
            cel,
            f"search(r'{pattern}', action['name']) is not None",
            f"regexp_matches(name, '{pattern}')",
            (f'regex.match("{pattern}", input.action.name)',),
            f'context.action.name like "n*{digit}*x"',  # the same over these names
            f"matches(action.name, '{pattern}')",
        )
    if shape == 4:
        return Rule(
            cel,
            f"'region' in action and action['region'] == task['region'] and action['skill'] > {c % 9}",
            f"region IS NOT NULL AND region = $region AND skill > {c % 9}",
            (f"input.action.region == input.task.region; input.action.skill > {c % 9}",),
            f"context.action has region && context.action.region == context.task.region && context.action.skill > {c % 9}",
            f"action.region != null and action.region == task.region and action.skill > {c % 9}",
        )
    if shape == 5:
        load = 10 * (c % 7 + 3)
        return Rule(
            cel,
            f"action['kind'] in task['allowed'] and action['load'] < {load}",
            f"list_contains($allowed, kind) AND load < {load}",
            (f"input.action.kind in input.task.allowed; input.action.load < {load}",),
            f"context.task.allowed.contains(context.action.kind) && context.action.load < {load}",
            f"action.kind in task.allowed and action.load < {load}",
        )
    if shape == 6:
        limit = 10 * (c % 12 + 4)
        return Rule(
            cel,
            f"action['cost'] * 2.0 + task['penalty'] * 0.5 > {limit}.0",
            f"cost * 2.0::DOUBLE + $penalty * 0.5::DOUBLE > {limit}.0::DOUBLE",
            (f"(input.action.cost * 2) + (input.task.penalty * 0.5) > {limit}",),
            f"context.action.cost * 4 + context.task.penalty > {2 * limit * SCALE}",
            f"action.cost * 2 + task.penalty * 0.5 > {limit}",
        )
    language, channel = f"l{c % 2}", f"c{c % 3}"
    return Rule(
        cel,
        f"task['language'] in ['{language}'] and action['channel'] != '{channel}'",
        f"$language IN ('{language}') AND channel <> '{channel}'",
        (f'input.task.language in {{"{language}"}}; input.action.channel != "{channel}"',),
        f'["{language}"].contains(context.task.language) && context.action.channel != "{channel}"',
        f"task.language in ['{language}'] and action.channel != '{channel}'",
    )


def rego_module(given: list[Rule]) -> str:
    bodies = [f"hit contains {i} if {{ {body} }}" for i, rule in enumerate(given) for body in rule.rego]
    return "\n".join(["package rules", "", *bodies, ""])


def cedar_policies(given: list[Rule]) -> str:
    return "\n".join(f"permit(principal, action, resource) when {{ {rule.cedar} }};" for rule in given)


def thousandths(row: Row) -> Row:
    return {k: round(v * SCALE) if isinstance(v, float) else v for k, v in row.items()}
