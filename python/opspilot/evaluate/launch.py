"""Launch criteria judged on decision logs: what was agreed before the data were seen, and what the data prove of it.

>>> made = op.evaluate.launch.judge("criteria.json", ["decisions.log", "outcomes.log"])
>>> made.passed, made.results[0]["verdict"], made.report().save("launch.html")

A criterion passes when an exact bound proves it, fails when the opposite bound refutes it, and is insufficient otherwise: a point
that looks good decides nothing. All must pass. The document's hash stands in the result, and with an earlier result at hand so
does every edit since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._decision_log import Actions, Attributes, DecisionLog, actions_of, one_of_each, read, read_attributes
from opspilot._describe import Described
from opspilot.deciding import Bundle
from opspilot.errors import CalibrationError, UsageError
from opspilot.evaluate import groups as by_group
from opspilot.evaluate import raters
from opspilot.evaluate._suppress import kinds_of, visible

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

__all__ = ["Launch", "edits", "judge"]

#: Column of the attributes with labels of adjudicators: what ``of`` speaks of.
LABEL: Final = "label"
SMALL: Final = "(small groups together)"


class Launch(Described):
    """What is known of launch criteria. ``to_dict()`` has everything; ``report()`` is a page of it."""

    def __init__(self, judged: Mapping[str, Any]) -> None:
        self._judged = dict(judged)

    @property
    def passed(self) -> bool:
        """All criteria are proved."""
        return self.verdict == "pass"

    @property
    def verdict(self) -> str:
        """ "pass", "fail" when a criterion is refuted, else "insufficient"."""
        return self._judged["verdict"]

    @property
    def results(self) -> list[dict[str, Any]]:
        """By criterion, in the document's order."""
        return self._judged["results"]

    @property
    def warnings(self) -> list[str]:
        return self._judged["warnings"]

    def to_dict(self) -> dict[str, Any]:
        return self._judged

    def report(self) -> Any:
        """The same as a page: ``launch.report().save("launch.html")``."""
        from opspilot import report

        return report.build("launch", self._judged)

    def _description(self) -> dict[str, Any]:
        kept = ("id", "metric", "by", "bound", "verdict")
        return {
            "kind": "launch",
            "name": self._judged["name"],
            "verdict": self.verdict,
            "criteria_sha256": self._judged["criteria_sha256"],
            "decisions": self._judged["decisions"]["n"],
            "criteria": [{key: result[key] for key in kept} for result in self.results],
            "warnings": self.warnings,
        }

    def __reduce__(self) -> tuple[object, ...]:
        return (Launch, (self._judged,))


def judge(
    criteria: str | Path | bytes | Mapping[str, Any],
    logs: Sequence[str | Path | bytes],
    *,
    attributes: str | Path | None = None,
    votes: str | Path | Sequence[Sequence[int]] | npt.NDArray[Any] | None = None,
    before: str | Path | Mapping[str, Any] | None = None,
    bundle: Bundle | str | Path | None = None,
    one_per: str | None = None,
) -> Launch:
    """Judges criteria (a path, content, or the document) on logs of decisions and outcomes.

    ``attributes``: a CSV or JSON Lines file of groups and labels (column "label") by ``decision`` or ``task``. ``votes``: counts
    of several raters' labels, items by labels, for the noise ceiling. ``before``: an earlier criteria document or result of this
    function, to show what was edited since. ``bundle``: the one that decided, for criteria by "action.kind" and other fields of
    its catalogue. ``one_per``: what comes in several decisions, named as groups are: at most one of each is drawn, every decision
    equally likely, since bounds take decisions as independent.

    Automated is what the decision proposed before the rollout stage narrowed it, so that a shadow log tells of the launch.
    Raises ``CalibrationError`` for a bad document, ``AuditError`` for a bad log, ``UsageError`` for groups that do not exist.
    """
    document = _core.LaunchCriteria.parse(_bytes_of(criteria))
    canonical: dict[str, Any] = json.loads(document.to_json())
    log = read(logs)
    known = read_attributes(attributes) if attributes is not None else None
    actions, whole = _actions(bundle, log), len(log)
    if one_per is not None:
        log = log.only(one_of_each(log.units(one_per, known, actions)))
    counted = _Counting(log, known, actions, canonical["wrong"])
    results = [_result(document, number, c, counted) for number, c in enumerate(canonical["criteria"])]
    verdicts = {result["verdict"] for result in results}
    noise = _noise(votes)
    earlier = _criteria_of(before) if before is not None else None
    judged = {
        "verdict": "fail" if "fail" in verdicts else "insufficient" if "insufficient" in verdicts else "pass",
        "name": canonical["name"],
        "criteria": canonical,
        "criteria_sha256": document.fingerprint(),
        "before_sha256": earlier.fingerprint() if earlier is not None else None,
        "edits": edits(json.loads(earlier.to_json()), canonical) if earlier is not None else None,
        "decisions": counted.summary(),
        "one_per": one_per,
        "drawn_from": whole,
        "results": results,
        "groups": {name: counted.report(name, "").to_dict() for name in counted.names(canonical)},
        "noise": noise,
    }
    return Launch({**judged, "warnings": _warnings(judged, log)})


def edits(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was changed from one canonical criteria document to another: where, what stood there, what stands now, and whether it
    is easier to pass ("looser", "stricter", or None where neither can be said)."""
    made: list[dict[str, Any]] = []

    def note(criterion: str | None, key: str | None, old: Any, new: Any, direction: str | None) -> None:
        made.append({"criterion": criterion, "key": key, "before": old, "after": new, "direction": direction})

    for key in ("name", "declared_at", "wrong"):
        if before.get(key) != after.get(key):
            fewer = key == "wrong" and set(after["wrong"]) < set(before["wrong"])
            more = key == "wrong" and set(after["wrong"]) > set(before["wrong"])
            note(None, key, before.get(key), after.get(key), "looser" if fewer else "stricter" if more else None)
    old, new = ({c["id"]: c for c in side["criteria"]} for side in (before, after))
    for name in old.keys() | new.keys():
        if name not in new:
            note(name, None, old[name], None, "looser")
        elif name not in old:
            note(name, None, None, new[name], "stricter")
        else:
            for key in sorted(old[name].keys() | new[name].keys()):
                was, now = old[name].get(key), new[name].get(key)
                if was != now:
                    note(name, key, was, now, _direction(key, was, now))
    return sorted(made, key=lambda edit: (edit["criterion"] or "", edit["key"] or ""))


def _direction(key: str, was: Any, now: Any) -> str | None:
    if key in ("at_most", "gap_at_most", "at_least", "confidence", "min_samples") and was is not None and now is not None:
        raised = now > was
        return "looser" if raised == (key in ("at_most", "gap_at_most")) else "stricter"
    if key == "small_groups":
        return "looser" if now == "pool" else "stricter"
    return None


class _Counting:
    """Events and bases of criteria, over the whole log or by group."""

    def __init__(self, log: DecisionLog, attributes: Attributes | None, actions: Actions | None, wrong: Sequence[str]) -> None:
        self.log, self.attributes, self.actions = log, attributes, actions
        self.automated, self.wrong = log.automated, log.wrong(wrong)
        self._reports: dict[tuple[str, str], by_group.GroupReport] = {}
        self._groups: dict[str, list[str | None]] = {}

    def names(self, canonical: Mapping[str, Any]) -> list[str]:
        return list(dict.fromkeys(c["by"] for c in canonical["criteria"] if "by" in c))

    def groups(self, name: str) -> list[str | None]:
        if name not in self._groups:
            self._groups[name] = self.log.by(name, self.attributes, self.actions)
        return self._groups[name]

    def needed(self, of: str) -> Floats:
        """Whether a person was needed: the action was wrong, or the decision has the label."""
        if not of:
            return self.wrong
        if self.attributes is None or LABEL not in self.attributes.columns:
            raise UsageError(
                f"a criterion is about the label '{of}', and there are no labels",
                code="usage.labels",
                where="attributes",
                hint=f"give attributes with a column '{LABEL}'",
            )
        labels = self.log.by(LABEL, self.attributes)
        return np.array([np.nan if label is None else float(label == of) for label in labels])

    def report(self, name: str, of: str) -> by_group.GroupReport:
        if (name, of) not in self._reports:
            groups = self.groups(name)
            needed = self.needed(of) if of else None
            self._reports[name, of] = by_group.report(groups, automated=self.automated, wrong=self.wrong, needed=needed)
        return self._reports[name, of]

    def flags(self, c: Mapping[str, Any]) -> tuple[Flags, Flags]:
        """Events and base of a criterion's rate."""
        known = ~np.isnan(self.wrong)
        metric = c["metric"]
        needed = self.needed(c.get("of", ""))
        if metric == "automation_rate":
            return self.automated, np.ones(len(self.log), np.bool_)
        if metric == "selective_risk":
            return self.automated & (self.wrong == 1), self.automated & known
        if metric == "recall":
            return ~self.automated & (needed == 1), needed == 1
        if metric == "false_negative_rate":
            return self.automated & (needed == 1), needed == 1
        if metric == "false_positive_rate":
            return ~self.automated & (needed == 0), needed == 0
        if metric == "slow_rate":
            delays = np.array([np.nan if delay is None else delay for delay in self.log.delay_us])
            return delays > c["slower_than_us"], ~np.isnan(delays)
        kind = "reversed" if metric == "reversal_rate" else "complaint"
        return self.automated & np.array([outcome == kind for outcome in self.log.outcome], np.bool_), self.automated & known

    def summary(self) -> dict[str, Any]:
        known = ~np.isnan(self.wrong)
        return {
            "n": len(self.log),
            "automated": int(self.automated.sum()),
            "with_outcome": int(known.sum()),
            "automated_with_outcome": int((known & self.automated).sum()),
            "automated_and_wrong": int((self.automated & (self.wrong == 1)).sum()),
            "first_time": min(self.log.time, default=None),
            "last_time": max(self.log.time, default=None),
            "bundles": sorted(set(self.log.bundle)),
            "models": sorted(set(self.log.model)),
            "repeated": self.log.repeated,
            "strangers": self.log.strangers,
        }


def _result(document: _core.LaunchCriteria, number: int, c: Mapping[str, Any], counted: _Counting) -> dict[str, Any]:
    """One criterion, its rates with names; small cells of groups are judged, and not shown."""
    events, base = counted.flags(c)
    result = {
        "id": c["id"],
        "metric": c["metric"],
        "of": c.get("of"),
        "by": c.get("by"),
        "bound": next({key: c[key]} for key in ("at_most", "at_least", "gap_at_most") if key in c),
        "confidence": c["confidence"],
        "min_samples": c["min_samples"],
        "because": c.get("because"),
    }
    if "by" not in c:
        judged = document.judge(number, [(int(events.sum()), int(base.sum()))])
        return {**result, "verdict": judged["verdict"], "rates": [{"group": None, **_plain(judged["rates"][0])}]}
    groups = ["(not known)" if group is None else group for group in counted.groups(c["by"])]
    names = sorted(set(groups))
    code = {name: i for i, name in enumerate(names)}
    codes = np.array([code[group] for group in groups], np.int64)
    k = np.bincount(codes[events], minlength=len(names))
    n = np.bincount(codes[base], minlength=len(names))
    shown = _shown(c, counted, names, k, n)
    small = (n < c["min_samples"]) if c.get("small_groups") == "pool" else np.zeros(len(names), np.bool_)
    parts = [(name, int(k[i]), int(n[i]), bool(shown[i])) for i, name in enumerate(names) if not small[i]]
    if small.any():
        pooled = (SMALL, int(k[small].sum()), int(n[small].sum()))
        # A pool is shown when it is no small cell itself, and no single group.
        parts.append((*pooled, bool(pooled[2] >= by_group.MIN_COUNT and small.sum() > 1)))
    judged = document.judge(number, [(events_, of) for _, events_, of, _ in parts])
    rates = [
        {"group": name, **(_plain(rate) if show else {"verdict": rate["verdict"], "suppressed": True})}
        for (name, _, _, show), rate in zip(parts, judged["rates"], strict=True)
    ]
    return {**result, "verdict": judged["verdict"], "rates": rates}


def _shown(c: Mapping[str, Any], counted: _Counting, names: Sequence[str], k: npt.NDArray[Any], n: npt.NDArray[Any]) -> Flags:
    """Which groups' rates may be shown: what the group report shows, or the metric by itself."""
    report = counted.report(c["by"], c.get("of", ""))
    if c["metric"] in report.rates:
        return np.array([not report.rates[c["metric"]][name].suppressed for name in names], np.bool_)
    alone = kinds_of({c["metric"]: (np.array([True, False, False]), np.array([True, True, False]))})
    return visible(n[:, None].astype(np.int64), alone, by_group.MIN_COUNT)[:, 0]


def _plain(rate: Mapping[str, Any]) -> dict[str, Any]:
    """NaN is no JSON."""
    return {**rate, "value": None if np.isnan(rate["value"]) else rate["value"]}


def _noise(votes: object) -> dict[str, Any] | None:
    if votes is None:
        return None
    if isinstance(votes, (str, Path)):
        try:
            table = np.loadtxt(votes, delimiter=",", skiprows=1, dtype=np.int64, ndmin=2)
        except ValueError as problem:
            raise UsageError(
                f"no counts: {problem}",
                code="usage.votes",
                where=str(votes),
                hint="CSV: a header, then whole numbers, items by labels",
            ) from None
    else:
        table = np.asarray(votes)
    made = raters.noise_ceiling(counts=table)
    about = {key: value for key, value in made._description().items() if key != "kind"}
    about["alpha"] = raters.krippendorff_alpha(counts=table)
    return about


def _warnings(judged: Mapping[str, Any], log: DecisionLog) -> list[str]:
    """What limits the answer."""
    made = []
    decisions, criteria = judged["decisions"], judged["criteria"]
    declared = criteria.get("declared_at")
    if declared is None:
        made.append("The criteria do not say when they were agreed (declared_at), so nothing shows that it was before the data.")
    elif decisions["first_time"] is not None and declared > decisions["first_time"]:
        early = sum(time < declared for time in log.time)
        made.append(f"{early} of {len(log)} decisions were made before the criteria were agreed.")
    if judged["one_per"] is None and len(set(log.task)) < len(log):
        made.append("Tasks come in several decisions: bounds take decisions as independent. Draw one of each (one_per).")
    missing = decisions["automated"] - decisions["automated_with_outcome"]
    if missing:
        made.append(
            f"{missing} of {decisions['automated']} automated decisions have no outcome: rates of wrong ones speak of the "
            "others, and hold for all only if outcomes came at random."
        )
    if len(decisions["models"]) > 1:
        made.append(f"The log holds decisions of {len(decisions['models'])} models: the rates are of their mixture.")
    if decisions["strangers"]:
        made.append(f"{_count(decisions['strangers'], 'outcome')} about decisions that no log holds.")
    loosened = sum(edit["direction"] == "looser" for edit in judged["edits"] or ())
    if loosened:
        made.append(f"{_count(loosened, 'edit')} since the earlier criteria made them easier to pass.")
    noise = judged["noise"]
    if noise is not None:
        for result in judged["results"]:
            limit = result["bound"].get("at_most")
            if result["metric"] == "selective_risk" and limit is not None and limit <= noise["noise_lower"]:
                made.append(
                    f"'{result['id']}' asks for a risk of at most {limit:g}, and at least {noise['noise_lower']:.3g} of single "
                    "labels are wrong: a perfect model could not pass. Adjudicate, or let three people label each item."
                )
    return made


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _criteria_of(source: str | Path | Mapping[str, Any]) -> _core.LaunchCriteria:
    """Of a criteria document, or of a result that holds one."""
    try:
        about = json.loads(_bytes_of(source))
    except (ValueError, RecursionError) as problem:
        raise UsageError(
            f"no JSON: {problem}", code="usage.before", where="before", hint="criteria, or an earlier result"
        ) from None
    if isinstance(about, dict) and "criteria_sha256" in about:
        about = about.get("criteria")
    return _core.LaunchCriteria.parse(json.dumps(about).encode())


def _actions(bundle: Bundle | str | Path | None, log: DecisionLog) -> Actions | None:
    if bundle is None:
        return None
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    if log.model and loaded.model_fingerprint not in log.model:
        raise CalibrationError(
            f"no decision of the log is of the bundle's model {loaded.model_fingerprint}",
            code="calibration.foreign_model",
            where="bundle",
            hint="give the bundle that decided",
        )
    return actions_of(loaded.part("catalogue.json"))


def _bytes_of(source: str | Path | bytes | Mapping[str, Any]) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, Mapping):
        return json.dumps(source).encode()
    return Path(source).read_bytes()
