#!/usr/bin/env python3
"""Answers of other libraries, frozen for the tests: tests/fixtures/FOLDER/NAME.json, one file per fixture.

    regenerate_fixtures.py                 makes all of them again
    regenerate_fixtures.py NAME...         only these
    regenerate_fixtures.py --check         makes them anew and compares with the files; exit 1 where a number moved
    regenerate_fixtures.py --list

Needs what each fixture names (scripts/requirements-fixtures.txt has all of it); a fixture whose libraries are absent is named and
left out. A fixture is a function that returns JSON values, under @fixture; the versions of its libraries are written beside them.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import fixtures_certificates
import fixtures_groups
import numpy as np
import numpy.typing as npt

FIXTURES: Final = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fixture:
    name: str
    folder: str
    packages: tuple[str, ...]
    #: How far a fresh computation may lie from the frozen one, relative and absolute: other versions stop iterating elsewhere.
    tolerance: float
    make: Callable[[], Any]
    #: Its library does not install everywhere: where it is absent, a check passes.
    optional: bool = False

    @property
    def path(self) -> Path:
        return FIXTURES / self.folder / f"{self.name}.json"

    def document(self) -> dict[str, Any]:
        versions = {package: metadata.version(package) for package in ("numpy", *self.packages)}
        made = self.make()
        return {"versions": versions, **(made if isinstance(made, dict) else {"cases": made})}


REGISTRY: Final[dict[str, Fixture]] = {}


def fixture(
    folder: str, *packages: str, tolerance: float = 1e-9, optional: bool = False
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Registers a function under its own name."""

    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        REGISTRY[make.__name__] = Fixture(make.__name__, folder, packages, tolerance, make, optional)
        return make

    return register


def other(module: str) -> Any:
    """A library that is imported only when a fixture is made."""
    return importlib.import_module(module)


# ---- calibration ----


def sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


def scored(rng: np.random.Generator, n: int, slope: float = 1.5, shift: float = 0.0, digits: int = 4) -> tuple[Floats, Ints]:
    """Margins of few digits, and labels that follow them."""
    margin = np.round(rng.normal(size=n), digits)
    return margin, (rng.random(n) < sigmoid(slope * margin + shift)).astype(np.int64)


def stated(rng: np.random.Generator, n: int, power: float, digits: int = 5) -> tuple[Floats, Ints]:
    """Probabilities of few digits off 0 and 1, and labels whose true probability is another curve of them."""
    p = np.asarray(np.round(np.clip(rng.beta(1.4, 1.1, size=n), 1e-4, 1 - 1e-4), digits), np.float64)
    true = p**power / (p**power + (1 - p) ** (1 / power))
    return p, (rng.random(n) < true).astype(np.int64)


@fixture("calibration", "scikit-learn")
def isotonic() -> dict[str, Any]:
    """IsotonicRegression(out_of_bounds="clip") at its knots and between them."""
    regression = other("sklearn.isotonic").IsotonicRegression
    rng = np.random.default_rng(101)

    def cases() -> Iterator[dict[str, Any]]:
        for name, n, digits, weighted in [
            ("distinct", 150, 9, False),
            ("ties", 300, 1, False),
            ("ties and weights", 250, 1, True),
            ("weights, some of them 0", 120, 3, True),
            ("inverted", 80, 2, False),
            ("two rows", 2, 1, False),
        ]:
            score, label = scored(rng, n, -1.0 if name == "inverted" else 1.5, digits=digits)
            if name == "two rows":
                score, label = np.array([-0.5, 0.5]), np.array([0, 1])
            weight = np.round(rng.exponential(size=n), 3) if weighted else None
            if weight is not None and name.endswith("0"):
                weight[::7] = 0.0
            fitted = regression(out_of_bounds="clip").fit(score, label, sample_weight=weight)
            at = np.concatenate([fitted.X_thresholds_, np.linspace(-4, 4, 41), np.unique(score)[:40]])
            yield {
                "name": name,
                "score": score.tolist(),
                "label": label.tolist(),
                "weight": [] if weight is None else weight.tolist(),
                "at": at.tolist(),
                "value": fitted.predict(at).tolist(),
            }

    return {"cases": list(cases())}


@fixture("calibration", "venn-abers", "scikit-learn")
def venn_abers() -> dict[str, Any]:
    """The pairs of the venn-abers package, and of isotonic regressions fitted anew with each point in both ways."""
    package = other("venn_abers")
    regression = other("sklearn.isotonic").IsotonicRegression
    rng = np.random.default_rng(102)

    def cases() -> Iterator[dict[str, Any]]:
        for name, n, digits in [("distinct", 120, 6), ("ties", 400, 2), ("heavy ties", 200, 1), ("few", 7, 3)]:
            p, label = stated(rng, n, 1.5, digits)
            if name == "few":
                label = np.array([0, 1, 0, 0, 1, 1, 1])
            at = np.unique(np.concatenate([p[:40], np.round(rng.random(20), digits + 1), [0.0, 1.0]]))
            model = package.VennAbers()
            model.fit(np.column_stack([1 - p, p]), label)
            _, theirs = model.predict_proba(np.column_stack([1 - at, at]))
            refitted = [[regression().fit(np.append(p, s), np.append(label, y)).predict([s])[0] for y in (0, 1)] for s in at]
            yield {
                "name": name,
                "score": p.tolist(),
                "label": label.tolist(),
                "at": at.tolist(),
                "package": np.asarray(theirs).tolist(),
                "refitted": np.asarray(refitted).tolist(),
            }

    return {"cases": list(cases())}


@fixture("calibration", "betacal", "scikit-learn", tolerance=1e-6)
def beta() -> dict[str, Any]:
    """BetaCalibration("abm") with its optimiser run to the end: left alone it stops about 1e-4 short in p."""
    package = other("betacal")
    regression = other("sklearn.linear_model").LogisticRegression
    other("betacal.beta_calibration").LogisticRegression = functools.partial(regression, tol=1e-12, max_iter=100_000)
    rng = np.random.default_rng(103)

    def cases() -> Iterator[dict[str, Any]]:
        for name, n, power in [("steep", 300, 2.0), ("flat", 300, 0.5), ("calibrated", 400, 1.0), ("few", 25, 1.0)]:
            p, label = stated(rng, n, power)
            fitted = package.BetaCalibration("abm").fit(p, label)
            yield {"name": name, "score": p.tolist(), "label": label.tolist(), "p": fitted.predict(p).tolist()}
        # One coefficient would be negative: the positives have middling scores.
        p = np.round(rng.random(300), 4)
        for name, true in [("negative b", np.where(p > 0.6, 0.55, p)), ("negative a", np.where(p < 0.4, 0.45, p))]:
            label = (rng.random(300) < true).astype(np.int64)
            fitted = package.BetaCalibration("abm").fit(p, label)
            yield {
                "name": name,
                "score": p.tolist(),
                "label": label.tolist(),
                "p": fitted.predict(p).tolist(),
                "coefficients": [float(c) for c in fitted.calibrator_.map_[:2]],
            }

    return {"cases": list(cases())}


@fixture("calibration", "scikit-learn", tolerance=1e-6)
def temperature() -> dict[str, Any]:
    """What CalibratedClassifierCV(method="temperature") fits, for two classes and for five."""
    scaling = other("sklearn.calibration")._TemperatureScaling
    rng = np.random.default_rng(104)
    cases = []
    for name, slope in [("two classes, overconfident", 0.5), ("two classes, underconfident", 3.0)]:
        score, label = scored(rng, 300, slope)
        fitted = scaling().fit(score, label)
        p = np.asarray(fitted.predict(score))
        cases.append(
            {
                "name": name,
                "classes": 1,
                "logits": score.tolist(),
                "label": label.tolist(),
                "p": (p[:, 1] if p.ndim == 2 else p).tolist(),
            }
        )
    for name, factor in [("five classes, overconfident", 2.5), ("five classes, underconfident", 0.4)]:
        z = np.round(rng.normal(size=(120, 5)), 4)
        shares = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        classes = (shares.cumsum(axis=1) < rng.random((120, 1))).sum(axis=1)
        logits = np.round(factor * z, 4)
        fitted = scaling().fit(logits, classes)
        cases.append(
            {
                "name": name,
                "classes": 5,
                "logits": logits.ravel().tolist(),
                "label": classes.tolist(),
                "p": np.asarray(fitted.predict(logits)).ravel().tolist(),
            }
        )
    return {"cases": cases}


@fixture("calibration", "scipy", tolerance=1e-6)
def vector_scaling() -> dict[str, Any]:
    """scipy on the objective as it is written in the header: cross-entropy plus ridge / 2 (|scale - 1|^2 + |shift|^2)."""
    minimise = other("scipy.optimize").minimize
    log_sum_exp = other("scipy.special").logsumexp
    rng = np.random.default_rng(105)
    z = np.round(rng.normal(size=(150, 4)), 4)
    shares = np.exp(0.7 * z + [0.5, 0, 0, -0.5])
    classes = ((shares / shares.sum(axis=1, keepdims=True)).cumsum(axis=1) < rng.random((150, 1))).sum(axis=1)
    cases = []
    for ridge in (0.1, 1.0, 20.0):

        def objective(x: Floats, ridge: float = ridge) -> float:
            out = x[:4] * z + x[4:]
            loss = np.sum(log_sum_exp(out, axis=1) - out[np.arange(150), classes])
            return float(loss + 0.5 * ridge * (np.sum((x[:4] - 1) ** 2) + np.sum(x[4:] ** 2)))

        start = np.concatenate([np.ones(4), np.zeros(4)])
        found = minimise(objective, start, method="BFGS", options={"gtol": 1e-6})
        found = minimise(objective, found.x, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20000})
        cases.append({"ridge": ridge, "scale": found.x[:4].tolist(), "shift": found.x[4:].tolist(), "objective": found.fun})
    return {"logits": z.ravel().tolist(), "label": classes.tolist(), "cases": cases}


@fixture("calibration", "scipy", "statsmodels", tolerance=1e-5)
def hierarchical() -> dict[str, Any]:
    """Modes of the coefficients given tau: scipy on the joint objective, and statsmodels with tau held at 1 by its prior."""
    minimise = other("scipy.optimize").minimize
    mixed = other("statsmodels.genmod.bayes_mixed_glm").BinomialBayesMixedGLM
    sparse = other("scipy.sparse")
    rng = np.random.default_rng(106)
    clients, n = 12, 260
    client = np.minimum((clients * rng.random(n) ** 2).astype(np.int64), clients - 1)
    score = np.round(rng.normal(0.4, 1.7, size=n), 3)
    offsets = rng.normal(0, 0.9, size=clients)
    label = (rng.random(n) < sigmoid(0.3 + offsets[client] + 0.8 * score)).astype(np.int64)
    x = (score - score.mean()) / score.std()
    cases = []
    for variance in (0.2, 1.0, 3.0):

        def objective(w: Floats, variance: float = variance) -> tuple[float, Floats]:
            m = w[0] + w[1] * x + w[2:][client]
            wrong = sigmoid(m) - label
            value = np.sum(np.logaddexp(0, m) - label * m) + np.sum(w[:2] ** 2) / 200 + np.sum(w[2:] ** 2) / (2 * variance)
            gradient = np.concatenate([[wrong.sum(), (wrong * x).sum()], np.bincount(client, wrong, clients)])
            gradient += np.concatenate([w[:2] / 100, w[2:] / variance])
            return float(value), gradient

        found = minimise(objective, np.zeros(2 + clients), jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-11})
        cases.append({"variance": variance, "common": found.x[:2].tolist(), "offsets": found.x[2:].tolist(), "value": found.fun})
    members = sparse.csr_matrix((np.ones(n), (np.arange(n), client)), shape=(n, clients))
    model = mixed(label, np.column_stack([np.ones(n), x]), members, np.zeros(clients, dtype=int), vcp_p=1e-5, fe_p=10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        map_fit = model.fit_map(minim_opts={"gtol": 1e-9})
    return {
        "score": score.tolist(),
        "label": label.tolist(),
        "client": client.tolist(),
        "clients": clients,
        "cases": cases,
        "statsmodels": {
            "variance": float(np.exp(2 * map_fit.params[2])),
            "common": map_fit.params[:2].tolist(),
            "offsets": map_fit.params[3:].tolist(),
        },
    }


@fixture("calibration", "uncertainty-calibration", "relplot", "model-diagnostics", "scikit-learn", tolerance=1e-9)
def calibration_error() -> dict[str, Any]:
    """get_calibration_error(debias=True), smECE, and decompose with the squared error."""
    calibration = other("calibration")
    relplot = other("relplot")
    scoring = other("model_diagnostics.scoring")
    rng = np.random.default_rng(107)
    cases = []
    for name, n, power, digits in [
        ("calibrated", 500, 1.0, 6),
        ("off", 600, 2.0, 6),
        ("far off", 300, 3.0, 6),
        ("ties", 400, 1.4, 2),
        ("heavy ties", 400, 1.6, 1),
    ]:
        p, label = stated(rng, n, power, digits)
        p = np.clip(p, 10.0**-digits, 1 - 10.0**-digits)
        parts = scoring.decompose(y_obs=label, y_pred=p, scoring_function=scoring.SquaredError())
        cases.append(
            {
                "name": name,
                "p": p.tolist(),
                "label": label.tolist(),
                "debiased": float(calibration.get_calibration_error(p, label, debias=True)),
                "debiased_10_bins": float(calibration.utils.lower_bound_scaling_ce(p, label, p=2, debias=True, num_bins=10)),
                "binned_15": float(calibration.utils.lower_bound_scaling_ce(p, label, p=1, debias=False, num_bins=15)),
                "smooth": float(relplot.smECE(p, label)),
                "corp": {key: float(parts[key][0]) for key in ("miscalibration", "discrimination", "uncertainty", "score")},
            }
        )
    return {"cases": cases}


# ---- certificates ----

for _make, _needed in (
    (fixtures_certificates.rate_evidence, ("mpmath",)),
    (fixtures_certificates.betting, ("confseq",)),
    (fixtures_certificates.grids, ("scipy", "mapie")),
    (fixtures_certificates.selections, ("scipy",)),
    (fixtures_certificates.noise, ("scipy",)),
):
    fixture("certificates", *_needed, optional="confseq" in _needed)(_make)

# ---- groups ----

fixture("groups")(fixtures_groups.gap_alarm)
fixture("groups", "statsmodels")(fixtures_groups.newcombe)
fixture("groups", "fairlearn", "statsmodels")(fixtures_groups.groups)
fixture("groups", "scipy", tolerance=1e-6)(fixtures_groups.shrink)
fixture("groups", "krippendorff", "crowd-kit", "scikit-learn", "statsmodels")(fixtures_groups.raters)
fixture("groups", "mapie")(fixtures_groups.conformal)


# ---- the command ----


def text_of(document: dict[str, Any]) -> str:
    """Compact, a case a line."""
    return json.dumps(document, separators=(",", ":")).replace("},{", "},\n{") + "\n"


def differences(frozen: Any, fresh: Any, tolerance: float, where: str = "") -> Iterator[str]:
    """Places whose values are not alike."""
    if isinstance(frozen, dict) and isinstance(fresh, dict) and frozen.keys() == fresh.keys():
        for key in frozen:
            yield from differences(frozen[key], fresh[key], tolerance, f"{where}/{key}")
    elif isinstance(frozen, list) and isinstance(fresh, list) and len(frozen) == len(fresh):
        for i, (a, b) in enumerate(zip(frozen, fresh, strict=True)):
            yield from differences(a, b, tolerance, f"{where}/{i}")
    elif isinstance(frozen, float) or isinstance(fresh, float):
        numbers = isinstance(frozen, (int, float)) and isinstance(fresh, (int, float))
        if not (numbers and math.isclose(frozen, fresh, rel_tol=tolerance, abs_tol=tolerance)):
            yield f"{where}: {frozen} is now {fresh}"
    elif frozen != fresh:
        yield f"{where}: {str(frozen)[:60]} is now {str(fresh)[:60]}"


def run(chosen: list[Fixture], check: bool) -> int:
    bad = 0
    for one in chosen:
        try:
            document = one.document()
        except (ImportError, metadata.PackageNotFoundError) as absent:
            print(f"{one.name}: left out, {absent}")
            bad += check and not one.optional  # a nightly run that checks nothing must not look green
            continue
        if not check:
            one.path.parent.mkdir(parents=True, exist_ok=True)
            one.path.write_text(text_of(document), encoding="utf-8")
            print(f"{one.name}: {one.path.relative_to(FIXTURES.parents[1])}, {one.path.stat().st_size} bytes")
            continue
        frozen = json.loads(one.path.read_text(encoding="utf-8"))
        versions = (frozen.pop("versions"), document.pop("versions"))
        moved = list(differences(frozen, json.loads(text_of(document)), one.tolerance))
        bad += bool(moved)
        print(f"{one.name}: {'as frozen' if not moved else f'{len(moved)} numbers moved, such as {moved[0]}'}")
        if versions[0] != versions[1]:
            print(f"  frozen with {versions[0]}, here {versions[1]}")
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--check", action="store_true", help="compare with the frozen files and write nothing")
    parser.add_argument("--list", action="store_true", help="names and what they need")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in REGISTRY]
    if unknown:
        parser.error(f"no fixture is called {', '.join(unknown)}; there are {', '.join(REGISTRY)}")
    chosen = [one for one in REGISTRY.values() if not options.names or one.name in options.names]
    if options.list:
        for one in chosen:
            print(f"{one.folder}/{one.name}: {', '.join(one.packages)}")
        return 0
    return run(chosen, options.check)


if __name__ == "__main__":
    sys.exit(main())
