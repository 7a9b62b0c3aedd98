#!/usr/bin/env python3
"""What the trainers themselves and Treelite do with the faulty model files of tests/rank/mutants, beside opspilot.

peers_on_mutants.py [--json] [--seconds S]   (each peer is optional: lightgbm, xgboost, catboost, treelite)

Every file has one fault, but for a few sound ones: "sound" says how many of those a reader scores. Each file is loaded in a
process of its own, and where that succeeds a row of zeros is scored: refused (an exception), scored, crashed (a signal), hung
(S seconds), memory (over 4 GiB).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

MUTANTS = Path(__file__).resolve().parents[1] / "tests" / "rank" / "mutants"
MEMORY = 4 << 30
OUTCOMES = ("refused", "scored", "crashed", "hung", "memory")
Load = Callable[[Path], Any]


def opspilot(folder: str) -> Load:
    import numpy as np

    from opspilot import _core

    read = {
        "lightgbm": _core.TreeRanker.from_lightgbm,
        "xgboost": _core.TreeRanker.from_xgboost,
        "catboost": _core.TreeRanker.from_catboost,
    }[folder]

    def load(path: Path) -> None:
        ranker = read(path.read_bytes())
        ranker.score(np.zeros((1, len(ranker.feature_names)), dtype=np.float32))

    return load


def lightgbm(folder: str) -> Load:
    import lightgbm
    import numpy as np

    def load(path: Path) -> None:
        booster = lightgbm.Booster(model_file=str(path))
        booster.predict(np.zeros((1, booster.num_feature())), num_threads=1)

    return load


def xgboost(folder: str) -> Load:
    import numpy as np
    import xgboost

    def load(path: Path) -> None:
        booster = xgboost.Booster({"nthread": 1}, model_file=str(path))
        booster.inplace_predict(np.zeros((1, booster.num_features()), dtype=np.float32))

    return load


def catboost(folder: str) -> Load:
    import catboost
    import numpy as np

    def load(path: Path) -> None:
        model = catboost.CatBoost()
        model.load_model(str(path), format="json")
        model.predict(np.zeros((1, len(model.feature_names_))), thread_count=1)

    return load


def treelite(folder: str) -> Load:
    import numpy as np
    import treelite

    def load(path: Path) -> None:
        if folder == "lightgbm":
            model = treelite.frontend.load_lightgbm_model(path)
        else:
            kind = "ubjson" if path.suffix == ".ubj" else "json"
            model = treelite.frontend.load_xgboost_model(path, format_choice=kind)
        treelite.gtil.predict(model, np.zeros((1, model.num_feature), dtype=np.float32), nthread=1)

    return load


PEERS: dict[str, dict[str, Callable[[str], Load]]] = {
    "lightgbm": {"opspilot": opspilot, "lightgbm": lightgbm, "treelite": treelite},
    "xgboost": {"opspilot": opspilot, "xgboost": xgboost, "treelite": treelite},
    "catboost": {"opspilot": opspilot, "catboost": catboost},
}


def outcome_of(load: Load, path: Path, seconds: float) -> str:
    """In a fork, so that whatever happens there stays there."""
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        code = 0
        try:
            load(path)
        except MemoryError:
            code = 3
        except BaseException:
            code = 2
        os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return "crashed"
            return {0: "scored", 2: "refused", 3: "memory"}.get(os.WEXITSTATUS(status), "crashed")
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"


def measure(folder: str, seconds: float) -> list[dict[str, Any]]:
    index = [line.split() for line in (MUTANTS / folder / "index.txt").read_text().splitlines()]
    faulty = [MUTANTS / folder / name for name, code in index if code != "ok"]
    sound = [MUTANTS / folder / name for name, code in index if code == "ok"]
    out: list[dict[str, Any]] = []
    for peer, make in PEERS[folder].items():
        try:
            module = importlib.import_module(peer)
            load = make(folder)
        except ImportError:
            continue
        found = {path.name: outcome_of(load, path, seconds) for path in faulty}
        counts = Counter(found.values())
        out.append(
            {
                "format": folder,
                "reader": f"{peer} {getattr(module, '__version__', '')}".strip(),
                "sound": sum(outcome_of(load, path, seconds) == "scored" for path in sound),
                "of": len(sound),
                "files": len(faulty),
                **{outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
                "not_refused": {name: what for name, what in found.items() if what != "refused"},
            }
        )
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:  # some peers leave files where they stand
        os.chdir(folder)
        for format_ in PEERS:
            # A process per format: some peers start threads when they first load, and forks of threads hang.
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                with os.fdopen(writer, "w") as pipe:
                    json.dump(measure(format_, options.seconds), pipe)
                os._exit(0)
            os.close(writer)
            with os.fdopen(reader) as pipe:
                results += json.load(pipe)
            os.waitpid(child, 0)
    if options.json:
        print(json.dumps(results))
        return 0
    print(f"{'format':10} {'reader':18} {'sound':>6} {'files':>6}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES))
    for entry in results:
        counts = "".join(f"{entry[outcome]:9}" for outcome in OUTCOMES)
        print(f"{entry['format']:10} {entry['reader']:18} {entry['sound']:>4}/{entry['of']} {entry['files']:6}{counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
