"""Deciding: bundles, engines, decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from opspilot import _core
from opspilot._decision_explained import DecisionExplanation
from opspilot._describe import Described
from opspilot.errors import BundleError, UsageError
from opspilot.policy import Document, Documents, Finding, named_documents, named_overlays, refusal

#: A file or folder by path, or the content itself as bytes.
Source = str | Path | bytes
#: Where records go: a path to append to, a binary file, or a function that takes the bytes of whole lines.
Audit = str | Path | IO[bytes] | Callable[[bytes], object]

PACKED_SUFFIX = ".opspilot"


class Bundle(Described):
    """One immutable, hashed artefact with everything a decision needs. Shared by any number of threads."""

    def __init__(self, core: _core.Bundle) -> None:
        self._core = core

    @classmethod
    def load(cls, source: Source) -> Self:
        """Opens a packed bundle (path or bytes), or builds one from a folder in memory.

        Every hash is checked, every document compiled, and the golden rows must give the same bits again.
        Raises ``BundleError`` and its kin with the part and the place; ``OSError`` when a file cannot be read.
        """
        if isinstance(source, bytes):
            return cls(_core.Bundle.from_bytes(source))
        path = Path(source)
        if path.is_dir():
            return cls.build(path)
        return cls(_core.Bundle.from_bytes(path.read_bytes()))

    @classmethod
    def draft(cls, parts: Mapping[str, bytes]) -> Self:
        """Compiles parts without golden rows, to calibrate and certify with what will be served. Decides in shadow."""
        return cls(_core.Bundle.draft(dict(parts)))

    @classmethod
    def build(cls, directory: str | Path | Mapping[str, bytes]) -> Self:
        """Packs a readable folder (or its parts by name) into a checked bundle.

        The answers of the golden rows are written by the builder; at least 64 rows, across every verdict.
        """
        if isinstance(directory, Mapping):
            return cls(_core.Bundle.from_bytes(_core.Bundle.build_parts(dict(directory))))
        root = Path(directory)
        if not root.is_dir():
            raise BundleError(
                f"{root} is no folder", code="bundle.no_folder", where=str(root), hint="give the folder that holds bundle.json"
            )
        parts = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        return cls(_core.Bundle.from_bytes(_core.Bundle.build_parts(parts)))

    def save(self, path: str | Path) -> Path:
        """Writes the packed form, or, when the path is an existing folder or has no suffix, one file per part.

        What decides is what is written: of a bundle that ``Engine.swap`` changed, the policies that were published, in place
        of those it was loaded with; into a file it is then built anew, its golden rows answered again. Raises ``UsageError``
        where clients have overlays, for which a bundle has no place.
        """
        target = Path(path)
        if target.is_dir() or not target.suffix:
            for name, content in self.parts_in_force().items():
                file = target / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        else:
            target.write_bytes(self.to_bytes())
        return target

    def to_bytes(self) -> bytes:
        """The packed form, as ``save`` writes it."""
        if self.published:
            return _core.Bundle.build_parts(self.parts_in_force())
        return self._core.packed()

    @property
    def published(self) -> bool:
        """Whether policies were published since it was loaded: ``part``, ``parts`` and ``fingerprint`` are of the bundle as it
        was packed, ``parts_in_force`` and ``save`` of what decides."""
        return self._core.published

    def parts_in_force(self) -> dict[str, bytes]:
        """The parts by name, with the policies that decide now."""
        return self._core.parts_in_force()

    def part(self, name: str) -> bytes:
        """Content of one part, e.g. ``features.json``; empty when the bundle has none such."""
        return self._core.part(name)

    @property
    def parts(self) -> dict[str, int]:
        """Names and sizes in bytes."""
        return self._core.parts()

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex over every byte."""
        return self._core.fingerprint

    @property
    def model_fingerprint(self) -> str:
        """SHA-256 hex of features and models: what certificates are bound to."""
        return self._core.model_fingerprint

    @property
    def name(self) -> str:
        return self._core.name

    @property
    def version(self) -> str:
        return self._core.version

    @property
    def golden_rows(self) -> int:
        """How many golden rows were re-scored when the bundle was loaded."""
        return self._core.golden_rows

    def _description(self) -> dict[str, Any]:
        about: dict[str, Any] = json.loads(self._core.describe_json())
        first = (
            "kind",
            "name",
            "version",
            "region",
            "stage",
            "fingerprint",
            "model_fingerprint",
            "actions",
            "golden_rows",
            "ranking",
        )
        rest = ("thresholds", "rules", "baseline_rules", "schema", "features", "parts")
        return {key: about[key] for key in (*first, *rest)}

    def __reduce__(self) -> tuple[object, ...]:
        return (Bundle.load, (self.to_bytes(),))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """One candidate after ranking."""

    action: str
    score: float
    probability: float | None
    verdict: str
    candidate: int
    allowed: bool
    reasons: list[dict[str, Any]]


class Decision(Described):
    """What was decided, for which candidate, how sure, why, and by which versions."""

    def __init__(self, core: _core.Decision) -> None:
        self._core = core
        self._ranked: list[RankedCandidate] | None = None

    @property
    def id(self) -> str:
        """32 hex digits: equal bundle, task, candidates and time give an equal id."""
        return self._core.id

    @property
    def verdict(self) -> str:
        """auto_execute, require_approval, suggest, escalate or abstain, after the rollout stage."""
        return self._core.verdict

    @property
    def proposed(self) -> str:
        """The verdict before the rollout stage: what a shadow bundle would have done."""
        return self._core.proposed

    @property
    def action(self) -> str | None:
        """Id of the best allowed candidate."""
        return self._core.action

    @property
    def queue(self) -> str | None:
        """Human queue of an escalation."""
        return self._core.queue

    @property
    def probability(self) -> float | None:
        """Calibrated probability that ``action`` is right; None below the full rung."""
        return self._core.probability

    @property
    def threshold(self) -> float | None:
        """Automation needs a probability above it; None where nothing is certified."""
        return self._core.threshold

    @property
    def override_probability(self) -> float:
        """Probability that the operator would do none of the candidates."""
        return self._core.override_probability

    @property
    def ranked(self) -> list[RankedCandidate]:
        """Best first, ties by candidate order, forbidden ones last with their reasons."""
        if self._ranked is None:
            self._ranked = [RankedCandidate(*entry) for entry in self._core.ranked]
        return self._ranked

    @property
    def reasons(self) -> list[dict[str, Any]]:
        """Reasons of the decision as a whole, then those of its best candidate."""
        own = self.ranked[0].reasons if self.ranked else []
        return self._core.reasons + own

    @property
    def rung(self) -> str:
        """full, cached, linear, baseline or human."""
        return self._core.rung

    @property
    def explanation(self) -> dict[str, Any] | None:
        """What made the score of the best candidate, when ``explain=True`` asked for it: ``score`` is ``base`` plus the
        ``contributions`` (the ten largest, by feature; never their values) plus ``others``.

        Trees are explained by exact TreeSHAP, linear models by weight times value; where a stage has no contributions (text
        classifiers, choice models, scores of the host) ``missing`` names why. ``record`` leaves out features that are made
        from personal fields: they count among the others there.
        """
        return self._core.explanation

    @property
    def clauses(self) -> dict[str, Any] | None:
        """Why the rules acted, when ``clauses=True`` or ``about=`` asked for it: of the best candidate and of those that the
        policy refused, or of the one asked about.

        ``rules`` in their order, each with ``action`` (the candidate; None for the task as a whole), ``rule``, ``layer``,
        ``effect``, ``failed`` where it could not be evaluated, and ``clauses`` and ``change`` as ``Policy.evaluate`` gives them:
        the parts of the condition that decided, with the values they saw (personal ones are not shown), and the smallest
        change that would keep the rule from acting. ``left_out`` counts what is beyond 32 rules and 16 KiB; ``missing`` names
        why there is nothing. ``record`` holds the same.
        """
        return self._core.clauses

    def explain(self) -> DecisionExplanation:
        """What was asked for when it was decided, as tables. Raises ``UsageError`` when nothing was."""
        if self.explanation is None and self.clauses is None:
            raise UsageError(
                "the decision was not asked to explain itself, and it does not keep what it was decided from",
                code="usage.not_asked",
                where="explain",
                hint="decide again with explain=True, clauses=True or about='the id of a candidate'",
            )
        head = {"id": self.id, "verdict": self.verdict}
        return DecisionExplanation(head, self.explanation, self.clauses, self.action)

    @property
    def stage(self) -> str:
        """Rollout stage of the bundle."""
        return self._core.stage

    @property
    def versions(self) -> dict[str, str]:
        return self._core.versions

    def record(self, top: int = 10) -> bytes:
        """The decision as one line of JSON with its newline, without personal fields: what an audit log keeps."""
        return self._core.record(top)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; ``explanation`` and ``clauses`` only when they were asked for."""
        explained, clauses = self.explanation, self.clauses
        return {
            "id": self.id,
            "verdict": self.verdict,
            "proposed": self.proposed,
            "action": self.action,
            "queue": self.queue,
            "probability": self.probability,
            "threshold": self.threshold,
            "override_probability": self.override_probability,
            "rung": self.rung,
            "stage": self.stage,
            "reasons": self.reasons,
            "ranked": [
                {
                    "action": c.action,
                    "score": c.score,
                    "probability": c.probability,
                    "verdict": c.verdict,
                    "allowed": c.allowed,
                    "reasons": c.reasons,
                }
                for c in self.ranked
            ],
            **({} if explained is None else {"explanation": explained}),
            **({} if clauses is None else {"clauses": clauses}),
            "versions": self.versions,
        }

    def _description(self) -> dict[str, Any]:
        return {"kind": "decision", **self.to_dict()}


class Engine(Described):
    """Decides with one bundle at a time; all methods may be called from any thread.

    ``audit`` receives one JSON line per decision and per outcome. ``seed`` is reserved for exploration and changes nothing yet.
    ``trusted_keys``: public keys (64 hex digits); with any, ``swap`` takes signed releases alone. ``last_releases``: sequences of
    the policy and the bundle release that you took last, so that none comes back after a restart.
    ``overlays``: per client (as tasks name it in ``client``) a policy document of the client layer, beside the bundle's rules.
    """

    def __init__(
        self,
        bundle: Bundle,
        overlays: Mapping[str, Document | None] | None = None,
        audit: Audit | None = None,
        seed: int = 0,
        *,
        trusted_keys: Sequence[str] = (),
        last_releases: tuple[int, int] = (0, 0),
    ) -> None:
        self._core = _core.Engine(bundle._core)
        self._seed = seed
        self._audit = _sink(audit)
        if overlays:
            self._publish(None, overlays, 0)
        if trusted_keys:
            self._core.trust(list(trusted_keys), *last_releases)

    def decide(
        self,
        task: object,
        candidates: object = None,
        *,
        now: object,
        deadline_ms: float | None = None,
        explain: bool = False,
        clauses: bool = False,
        about: str | None = None,
        rung: str = "full",
    ) -> Decision:
        """Decides one task.

        ``task``: a mapping or JSON bytes. ``candidates``: a table or a list of mappings; None generates them from the
        catalogue. ``now``: integer microseconds since 1970 UTC or an aware datetime. ``rung`` is the highest rung to use.
        ``explain`` adds an ``explanation`` of the best candidate's score to the decision and its record, ``clauses`` why the
        rules acted, and ``about`` that of one candidate alone, by its id; all take time that deciding does not.
        Raises ``SchemaError``, ``LimitError`` or ``UsageError`` on bad input; the engine stays as it was.
        """
        if deadline_ms is not None:
            raise UsageError("deadline_ms is not part of this release", code="usage.option", where="decide", hint="leave it out")
        asked = clauses or about is not None
        made = Decision(self._core.decide(task, candidates, now, rung, explain, asked, about or ""))
        if self._audit is not None:
            self._audit(made.record())
        return made

    def decide_batch(
        self,
        tasks: object,
        candidates: object = None,
        *,
        now: object,
        rung: str = "full",
        explain: bool = False,
        clauses: bool = False,
    ) -> _core.Table:
        """Decides many tasks; ``candidates`` carry an ascending integer ``task_index``. The same answers as ``decide``, bit
        for bit, as one table with a row per task.

        ``explain`` adds a column ``explanation`` of what ``Decision.explanation`` is, and explanations to the records. In Arrow
        it is a struct whose ``contributions`` are a list of structs. ``clauses`` adds why the rules acted to the records alone,
        so it needs an ``audit``.
        """
        if clauses and self._audit is None:
            raise UsageError(
                "clauses of a batch go to the records, and the engine writes none",
                code="usage.option",
                where="decide_batch",
                hint="make the engine with audit=, or decide one task at a time",
            )
        return self._core.decide_batch(tasks, candidates, now, rung, explain, clauses, self._audit)

    def record_outcome(self, decision_id: str, outcome: Mapping[str, object] | bytes, *, now: object) -> bytes:
        """Records what came of a decision, as one line of JSON in the same audit log; returns the line.

        ``outcome``: a mapping or JSON bytes with ``kind`` (accepted, overridden, reversed, complaint or observed) and, where
        they are known, ``action`` (overridden only: id of what the person did), ``reward`` (a finite number in your unit;
        required when observed) and ``delay_us`` (microseconds from the decision to what came of it). Free text and names of
        people are not accepted. ``now``: when it is recorded.
        Outcomes may come late, twice and out of order: all lines stand, and of those that answer a question about a decision
        (what people did, which reward) the one with the largest time counts, of equal times the later line.
        Raises ``UsageError`` for an id that is none, ``SchemaError`` with the place in the outcome; nothing is written then.
        """
        line = self._core.record_outcome(decision_id, outcome, now)
        if self._audit is not None:
            self._audit(line)
        return line

    def metrics_text(self) -> str:
        """What this engine did since it was made, in the Prometheus text format 0.0.4 (``text/plain; version=0.0.4``).

        Counters of decisions by verdict, proposed verdict, rung, stage and reason, of candidates, refused calls, outcomes, swaps
        and rollbacks; gauges for the kill switch and the bundle. They outlive swaps. There is no latency: the library has no
        clock, so the host measures its calls.
        """
        return self._core.metrics_text()

    def swap(
        self,
        bundle: Bundle | None = None,
        policy: Documents | None = None,
        overlay: Mapping[str, Document | None] | None = None,
        *,
        signed: bytes | None = None,
        now: object = 0,
    ) -> list[Finding]:
        """Publishes another bundle, or other policies for the running one: ``policy`` all layers at once (a folder, a document or
        a list of them), ``overlay`` those of some clients (None takes one away). Returns warnings
        about single rules; ``Policy.compile`` finds also what rules make of each other.

        New policies are compiled and pass their own tests before anything changes; after that the exchange is one step, and
        decisions in flight finish on what they began with. ``now``: when, for ``layers``. ``signed``: an envelope of
        ``opspilot.signing``, alone for policies, beside ``bundle`` for one; an engine with trusted keys takes nothing else.
        Raises ``PolicyError`` with all ``findings``; what decided before goes on.
        """
        if bundle is not None and policy is None and overlay is None:
            if signed is None:
                self._core.swap(bundle._core)
            else:
                self._core.swap_signed(bundle._core, signed)
            return []
        if signed is not None and bundle is None and policy is None and overlay is None:
            return _accepted(*self._core.publish_signed(signed, now))
        if bundle is not None or signed is not None or (policy is None and overlay is None):
            raise UsageError(
                "swap takes a bundle, or policies for the one that runs",
                code="usage.swap",
                where="swap",
                hint="pass bundle=, or policy= and overlay=, or signed=",
            )
        return self._publish(policy, overlay or {}, now)

    def _publish(self, policy: Documents | None, overlays: Mapping[str, Document | None], now: object) -> list[Finding]:
        documents = None if policy is None else named_documents(policy)
        return _accepted(*self._core.publish(documents, named_overlays(overlays), now))

    def shadow(
        self,
        bundle: Bundle | None = None,
        policy: Documents | None = None,
        overlay: Mapping[str, Document | None] | None = None,
        *,
        share: float = 1.0,
    ) -> list[Finding]:
        """From the next decision on also decides with another bundle, or other policies for the running one, for
        ``shadow_report`` alone: nothing of it reaches decisions, records, limits or counters. Without arguments it ends.

        ``share`` of decisions, the same ones for the same ids. Costs as much as deciding. Returns the checker's warnings.
        """
        documents = None if policy is None else named_documents(policy)
        core = None if bundle is None else bundle._core
        return _accepted(*self._core.shadow(core, documents, named_overlays(overlay or {}), share))

    def shadow_report(self) -> dict[str, Any]:
        """What the shadow would have decided otherwise: ``decided`` twice, ``changed``, ``actions``, ``queues``, ``verdicts`` as
        "live -> shadow", and the first ``examples`` with pairs of live and shadow."""
        return self._core.shadow_report()

    def layers(self) -> list[dict[str, Any]]:
        """The policy documents that decide now, in their order, overlays last: ``layer``, ``document``, ``version``, ``sha256``,
        ``client`` (None for all) and ``published_us``, the time given to ``swap``; 0 for what came with the bundle."""
        return self._core.layers()

    def rollback(self) -> None:
        """Goes back to what decided before the last swap, of a bundle or of policies."""
        self._core.rollback()

    def kill(self, scope: str = "auto") -> None:
        """From the next decision on: "auto" caps verdicts at suggest, "all" escalates to people, "none" ends it."""
        self._core.kill(scope)

    @property
    def bundle(self) -> Bundle:
        """The bundle that the next decision uses."""
        return Bundle(self._core.bundle)

    def _description(self) -> dict[str, Any]:
        bundle = self.bundle
        return {
            "kind": "engine",
            "bundle": bundle.name,
            "version": bundle.version,
            "fingerprint": bundle.fingerprint,
            "audited": self._audit is not None,
        }


def _accepted(done: bool, found: list[dict[str, Any]]) -> list[Finding]:
    findings = [Finding(**entry) for entry in found]
    if not done:
        raise refusal(findings)
    return findings


def _sink(audit: Audit | None) -> Callable[[bytes], object] | None:
    if audit is None:
        return None
    if isinstance(audit, (str, Path)):
        path = Path(audit)

        def append(lines: bytes) -> None:
            with path.open("ab") as file:
                file.write(lines)

        return append
    if callable(audit):
        return audit
    return audit.write
