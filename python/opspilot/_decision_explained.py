"""Why a decision is what it is: what made the score of its best candidate, and which clauses of which rules decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opspilot._describe import Described


class DecisionExplanation(Described):
    """``score`` is ``Decision.explanation`` and ``clauses`` is ``Decision.clauses``; None for what was not asked for."""

    def __init__(
        self, head: dict[str, Any], score: dict[str, Any] | None, clauses: dict[str, Any] | None, action: str | None
    ) -> None:
        self._head = head
        self._action = action
        self.score = score
        self.clauses = clauses

    def to_dict(self) -> dict[str, Any]:
        """Plain values: of the decision, of the score, and of the rules."""
        score = {"action": self._action} if self.score is None else self.score
        return {"kind": "explanation", **self._head, **score, **({} if self.clauses is None else {"clauses": self.clauses})}

    def _description(self) -> dict[str, Any]:
        about = self.to_dict()
        found = about.pop("clauses", None)
        if found is None:
            return about
        if found["missing"] is not None:
            return {**about, "rules": found["missing"]}
        return {**about, "rules": list(_rows(found["rules"])), "left_out": found["left_out"]}


def _rows(rules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A line per clause; the rule and its smallest change stand in its first one."""
    for rule in rules:
        head = {"candidate": rule["action"] or "(task)", "rule": rule["rule"], "effect": rule["effect"]}
        clauses = rule["clauses"] or [{"text": "", "gives": "", "values": {}}]
        for i, clause in enumerate(clauses):
            saw = ", ".join(f"{field} = {value}" for field, value in clause["values"].items())
            yield {
                **(head if i == 0 else dict.fromkeys(head, "")),
                "clause": clause["text"],
                "gives": clause.get("problem") or clause["gives"],
                "saw": saw,
                "smallest change": " and ".join(rule["change"]) if i == 0 else "",
            }
