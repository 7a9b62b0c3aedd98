"""Calibrators: from scores to probabilities. Each is fitted to a labelled set and written as a calibration document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from opspilot import _core
from opspilot._describe import Described
from opspilot.errors import CalibrationError

Floats = npt.NDArray[np.float64]
#: What scores are: margins (logits, sums of trees), or probabilities.
Input = Literal["margin", "probability"]
Clients = Sequence[Any] | npt.NDArray[Any]


class Calibrator(Described):
    """What all calibrators share. Scores are 1-d and finite; label 1 = the event, or: the decision was right."""

    _kind: ClassVar[str]

    def __init__(self, *, input: Input = "margin") -> None:
        self.input: Input = input
        self._core: _core.Calibrator | None = None

    def fit(self, score: npt.ArrayLike, label: npt.ArrayLike) -> Self:
        """Raises ``CalibrationError`` for unequal lengths, NaN, labels besides 0 and 1, one class only, constant scores."""
        self._core = _core.Calibrator.fit(self._kind, self.input, score, label)
        return self

    def probability(self, score: npt.ArrayLike) -> Floats:
        """Probability of label 1 for each score."""
        return self._fitted().probability(score)

    def to_json(self) -> str:
        """The document, as it stands under "calibrator" in a bundle's calibration.json."""
        return self._fitted().to_json()

    @classmethod
    def from_json(cls, document: str | bytes) -> Self:
        """Reads what ``to_json`` wrote. Raises ``CalibrationError`` with the JSON pointer."""
        return cls._holding(_core.Calibrator.parse(document.encode() if isinstance(document, str) else document))

    @classmethod
    def _holding(cls, core: _core.Calibrator) -> Self:
        if core.kind != cls._kind:
            raise CalibrationError(
                f"a calibrator of kind {core.kind}, not {cls._kind}",
                code="calibration.wrong_kind",
                where="/kind",
                hint="read it with opspilot.calibrate.from_json",
            )
        made = cls()
        made.input = "probability" if core.input == "probability" else "margin"
        made._core = core
        return made

    def _fitted(self) -> _core.Calibrator:
        if self._core is None:
            raise CalibrationError("not fitted", code="calibration.not_fitted", hint="call fit first")
        return self._core

    def _document(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.to_json())
        return made

    def _number(self, key: str) -> float:
        return float("nan") if self._core is None else float(self._document()[key])

    def _description(self) -> dict[str, Any]:
        if self._core is None:
            return {"kind": self._kind, "input": self.input, "fitted": False}
        about = self._document()
        return {key: f"{len(value)} entries" if isinstance(value, (list, dict)) else value for key, value in about.items()}

    def __reduce__(self) -> tuple[object, ...]:
        return (_restored, (type(self), self.input, None if self._core is None else self.to_json().encode()))


def _restored(kind: type[Calibrator], input: Input, document: bytes | None) -> Calibrator:
    if document is not None:
        return kind.from_json(document)
    made = kind()
    made.input = input
    return made


class Platt(Calibrator):
    """Platt scaling: ``p = 1 / (1 + exp(a * score + b))``, fitted with smoothed targets, so that it is finite on any data (Platt
    1999; Lin, Lin, Weng 2007). Feed margins or logits; of ``input="probability"`` it takes the logit."""

    _kind = "platt"

    @property
    def a_(self) -> float:
        return self._number("a")

    @property
    def b_(self) -> float:
        return self._number("b")


class Beta(Calibrator):
    """Beta calibration: ``logit p = a ln s - b ln(1 - s) + c`` with ``a, b >= 0``, of a probability ``s`` (Kull, Silva Filho,
    Flach 2017). Unlike Platt scaling it leaves what is calibrated as it is."""

    _kind = "beta"

    def __init__(self, *, input: Input = "probability") -> None:
        super().__init__(input=input)

    @property
    def a_(self) -> float:
        return self._number("a")

    @property
    def b_(self) -> float:
        return self._number("b")

    @property
    def c_(self) -> float:
        return self._number("c")


class Temperature(Calibrator):
    """Temperature scaling, ``softmax(z / t)`` (Guo et al. 2017): scores of one dimension are logits of label 1; rows of two
    dimensions are logits of the classes 0, 1, … It keeps the order of classes within a row."""

    _kind = "temperature"

    def __init__(self, *, input: Input = "margin") -> None:
        super().__init__(input=input)
        self._classes = 0

    def fit(self, score: npt.ArrayLike, label: npt.ArrayLike) -> Self:
        """``label``: 0 and 1, or the numbers of the classes. Raises ``CalibrationError``."""
        rows = np.asarray(score, np.float64)
        if rows.ndim == 1:
            self._classes = 0
            return super().fit(rows, label)
        t = _core.fit_temperature(rows, class_numbers(label))
        self._core = _core.Calibrator.parse(json.dumps({"kind": "temperature", "input": "margin", "t": t}).encode())
        self._classes = rows.shape[1]
        return self

    def probability(self, score: npt.ArrayLike) -> Floats:
        """``(n,)`` for scores, ``(n, classes)`` for rows of logits."""
        core = self._fitted()
        rows = np.asarray(score, np.float64)
        return core.probability(rows) if rows.ndim == 1 else _core.temperature_probabilities(rows, self.t_)

    @property
    def t_(self) -> float:
        return self._number("t")


class VectorScaling(Described):
    """``softmax(scale * z + shift)``, class by class, with a ridge on ``(scale - 1, shift)`` (Guo et al. 2017)."""

    def __init__(self, *, ridge: float = 1.0) -> None:
        self.ridge = ridge
        self.scale_: Floats = np.empty(0)
        self.shift_: Floats = np.empty(0)

    def fit(self, logits: npt.ArrayLike, label: npt.ArrayLike) -> Self:
        """``logits`` ``(n, classes)``, ``label`` the numbers of the classes. Raises ``CalibrationError``."""
        self.scale_, self.shift_ = _core.fit_vector_scaling(np.asarray(logits, np.float64), class_numbers(label), self.ridge)
        return self

    def probability(self, logits: npt.ArrayLike) -> Floats:
        """``(n, classes)``."""
        if self.scale_.size == 0:
            raise CalibrationError("not fitted", code="calibration.not_fitted", hint="call fit first")
        return _core.vector_probabilities(np.asarray(logits, np.float64), self.scale_.tolist(), self.shift_.tolist())

    def _description(self) -> dict[str, Any]:
        return {"kind": "vector scaling", "ridge": self.ridge, "scale": self.scale_.tolist(), "shift": self.shift_.tolist()}


class Isotonic(Calibrator):
    """Isotonic calibration: the nondecreasing curve of least squares, exact with ties and weights (Barlow et al. 1972; Zadrozny,
    Elkan 2002). Wants about 1000 labels of each outcome. ``input``: as a bundle feeds it; None: by the scores it is fitted to."""

    _kind = "isotonic"

    def __init__(self, *, input: Input | None = None) -> None:
        super().__init__()
        self._given = input
        if input is not None:
            self.input = input

    def fit(self, score: npt.ArrayLike, label: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Self:
        """``weight``: one per score, from 0 to 1e100. Raises ``CalibrationError``."""
        self.input = self._given or input_of(score)
        if weight is None:
            return super().fit(score, label)
        self._core = _core.Calibrator.fit_weighted_isotonic(self.input, score, label, weight)
        return self


class VennAbers(Calibrator):
    """Inductive Venn-Abers: two probabilities per score, of isotonic fits with the score's label taken as 0 and as 1 (Vovk,
    Petej, Fedorova 2015).

    One of the two is perfectly calibrated under exchangeability, and nobody knows which: ``interval`` is NOT a confidence
    interval of the probability. Its width says how little the labels know there. ``input``: as for ``Isotonic``.
    """

    _kind = "venn_abers"

    def __init__(self, *, input: Input | None = None) -> None:
        super().__init__()
        self._given = input
        if input is not None:
            self.input = input

    def fit(self, score: npt.ArrayLike, label: npt.ArrayLike) -> Self:
        self.input = self._given or input_of(score)
        return super().fit(score, label)

    def interval(self, score: npt.ArrayLike) -> Floats:
        """``(n, 2)``: p0 and p1, p0 <= p1. ``probability`` gives ``p1 / (1 - p0 + p1)``."""
        return self._fitted().interval(score)


class HierarchicalPlatt(Calibrator):
    """Platt scaling with an offset per client, shrunk towards the curve of all (Gelman, Hill 2007; MacKay 1992): for many clients
    of which most have few labels. From 200 labels of each outcome on a client has a slope of its own. Clients that had no labels
    get the common curve, widened by how much clients differ. Nothing is guaranteed to any one client."""

    _kind = "hierarchical_platt"

    def __init__(self, *, input: Input = "margin", offset_variance: float | None = None) -> None:
        super().__init__(input=input)
        #: How much clients differ, as given instead of estimated.
        self.offset_variance = offset_variance

    def fit(self, score: npt.ArrayLike, label: npt.ArrayLike, client: Clients | None = None) -> Self:
        """``client``: the name of each score's client, as tasks have it; names are compared as texts. Raises
        ``CalibrationError``."""
        names, numbers = np.unique(np.empty(0, str) if client is None else _texts(client), return_inverse=True)
        self._core = _core.Calibrator.fit_hierarchical(
            self.input, score, label, numbers.astype(np.int64), names.tolist(), self.offset_variance
        )
        return self

    def probability(self, score: npt.ArrayLike, client: Clients | str | None = None) -> Floats:
        """``client``: one name, one for each score, or None for clients without labels."""
        core = self._fitted()
        if client is None:
            return core.probability(score)
        if isinstance(client, str):
            return core.probability(score, np.array([core.client_number(client)]))
        names, numbers = np.unique(_texts(client), return_inverse=True)
        known = np.array([core.client_number(name) for name in names.tolist()], np.int64)
        return core.probability(score, known[numbers])

    @property
    def clients_(self) -> dict[str, dict[str, float]]:
        """Offset, slope and their variances by client."""
        clients: dict[str, dict[str, float]] = self._document()["clients"]
        return clients


def _texts(client: Clients) -> npt.NDArray[np.str_]:
    return np.asarray([str(name) for name in np.asarray(client, dtype=object).ravel()], dtype=str)


def class_numbers(label: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Whole numbers, or an error that names the row."""
    given = np.asarray(label)
    if given.ndim != 1:
        raise CalibrationError(
            f"label has {given.ndim} dimensions", code="calibration.shape", where="label", hint="give a 1-d array"
        )
    if given.dtype.kind not in "iub":
        numbers = given.astype(np.float64)
        for row in np.flatnonzero(~((numbers == np.floor(numbers)) & (np.abs(numbers) < 2**31))):
            raise CalibrationError(
                f"label {given[row]!r} is no class number",
                code="calibration.bad_class",
                where=f"row {row}",
                hint="number classes from 0 as the columns",
            )
        given = numbers
    return given.astype(np.int64)


def input_of(score: npt.ArrayLike) -> Input:
    """Scores that all lie in [0, 1] are taken for probabilities."""
    given = np.asarray(score, np.float64)
    return "probability" if given.size and bool(np.all((given >= 0) & (given <= 1))) else "margin"


_KINDS: dict[str, type[Calibrator]] = {
    kind._kind: kind for kind in (Platt, Beta, Temperature, Isotonic, VennAbers, HierarchicalPlatt)
}


def from_json(document: str | bytes) -> Calibrator:
    """The calibrator that a document under "calibrator" in calibration.json holds. Raises ``CalibrationError``."""
    core = _core.Calibrator.parse(document.encode() if isinstance(document, str) else document)
    kind = _KINDS.get(core.kind)
    if kind is None:
        raise CalibrationError("no calibrator", code="calibration.wrong_kind", where="/kind", hint=f"one of: {', '.join(_KINDS)}")
    return kind._holding(core)


@dataclass(frozen=True)
class Choice(Described):
    """The calibrator that the labels can carry, fitted, and why."""

    calibrator: Calibrator
    reason: str
    positives: int
    negatives: int
    #: Mean width of Venn-Abers pairs: above 0.1 there are too few labels to trust any probability much.
    venn_abers_width: float
    #: Candidates with their log-loss on rows they were not fitted to; empty where the labels carry only one.
    compared: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def probability(self, score: npt.ArrayLike) -> Floats:
        """That of the calibrator."""
        return self.calibrator.probability(score)

    def _description(self) -> dict[str, Any]:
        return {
            "kind": "choice of a calibrator",
            "chosen": self.calibrator._kind,
            "reason": self.reason,
            "positives": self.positives,
            "negatives": self.negatives,
            "venn_abers_width": self.venn_abers_width,
            "compared": self.compared,
        }

    def __repr__(self) -> str:
        return f"<opspilot choice of a calibrator: {self.reason}>"


def choose(score: npt.ArrayLike, label: npt.ArrayLike, *, input: Input | None = None) -> Choice:
    """Fits Platt scaling, beta or isotonic calibration, as many labels as there are: see ``Choice.reason``.

    ``input`` None: scores that all lie in [0, 1] are probabilities. Raises ``CalibrationError``.
    """
    made = _core.choose_calibrator(score, label, input or input_of(score))
    core = made.pop("calibrator")
    return Choice(calibrator=_KINDS[core.kind]._holding(core), **made)


def top_class(probabilities: npt.ArrayLike, label: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """The binary task to calibrate and certify of a model with many classes: the largest probability (or logit) of each row, and
    whether that class, of equal ones the first, is the right one. Raises ``CalibrationError``."""
    return _core.top_class(np.asarray(probabilities, np.float64), class_numbers(label))
