"""The other engines of the same LightGBM model, each in its best batch form on one thread. All are optional
(requirements-rivals.txt); what takes minutes to compile is compiled in the full form only, and kept."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CACHE, Absent, Array, Contender, LaterError, attempt, timed, version_of

#: Splits above which lleaves and TL2cgen compile for minutes.
_SLOW = 5_000


class Rivals:
    """Contenders for one model (a LightGBM text file) and one matrix, in float64 and the same numbers in float32."""

    def __init__(self, path: Path, rows64: Array, rows32: Array, compile_slow: bool) -> None:
        import lightgbm

        self.path, self.rows64, self.rows32 = path, rows64, rows32
        self.booster = lightgbm.Booster(model_file=str(path))
        self.raw = b"\naverage_output\n" not in path.read_bytes()  # of a forest, the sum, not the average
        self.expected = self.scores()
        self.slow = compile_slow or self.booster.num_trees() * 63 < _SLOW

    def lightgbm(self, threads: int = 1) -> Contender:
        return Contender(
            "LightGBM" if threads == 1 else f"LightGBM, {threads} threads",
            lambda: self.booster.predict(self.rows64, raw_score=self.raw, num_threads=threads),
            self.expected,
            same_bits=True,
            version=version_of("lightgbm"),
        )

    def scores(self) -> Array:
        """LightGBM's, as everybody here must give them."""
        return np.asarray(self.booster.predict(self.rows64, raw_score=self.raw, num_threads=1)).ravel()

    def all(self) -> list[Contender | Absent]:
        makers: dict[str, Callable[[], Contender]] = {
            "lleaves": self._lleaves,
            "ONNX Runtime": self._onnx,
            "TL2cgen": self._tl2cgen,
            "Treelite GTIL": self._gtil,
            "daal4py": self._daal4py,
        }
        return [attempt(name, make) for name, make in makers.items()]

    def kept(self, name: str, suffix: str) -> Path:
        """Where a compiled model is kept."""
        return CACHE / f"{self.path.stem}.{name}-{version_of(name)}{suffix}"

    def _compiled(self, name: str, suffix: str) -> Path:
        """The same. Raises when it is not there and this run has no minutes for it."""
        kept = self.kept(name, suffix)
        if not kept.exists() and not self.slow:
            raise LaterError("compiles for minutes: only in the full form, or once it is kept")
        return kept

    def _lleaves(self) -> Contender:
        import lleaves

        kept = self._compiled("lleaves", ".o")
        model = lleaves.Model(model_file=str(self.path))
        _, seconds = timed(lambda: model.compile(cache=str(kept), raw_score=True))
        return Contender(
            "lleaves",
            lambda: model.predict(self.rows64, n_jobs=1),
            self.expected,
            version=version_of("lleaves"),
            prepared_s=_remembered(kept, seconds),
        )

    def _tl2cgen(self) -> Contender:
        import tl2cgen
        import treelite

        kept = self._compiled("tl2cgen", ".so")
        model = treelite.frontend.load_lightgbm_model(str(self.path))
        seconds = 0.0
        if not kept.exists():
            _, seconds = timed(lambda: tl2cgen.export_lib(model, "gcc", str(kept), params={"parallel_comp": 0}))
        predictor = tl2cgen.Predictor(str(kept), nthread=1)
        matrix = tl2cgen.DMatrix(self.rows64, dtype="float64")
        return Contender(
            "TL2cgen",
            lambda: predictor.predict(matrix, pred_margin=True),
            self.expected,
            version=version_of("tl2cgen"),
            prepared_s=_remembered(kept, seconds),
        )

    def _gtil(self) -> Contender:
        import treelite

        model, seconds = timed(lambda: treelite.frontend.load_lightgbm_model(str(self.path)))
        return Contender(
            "Treelite GTIL",
            lambda: treelite.gtil.predict(model, self.rows64, nthread=1, pred_margin=True),
            self.expected,
            version=version_of("treelite"),
            prepared_s=seconds,
        )

    def _onnx(self) -> Contender:
        import onnxmltools
        import onnxruntime
        from onnxmltools.convert.common.data_types import FloatTensorType

        def make() -> Any:
            shape = [("X", FloatTensorType([None, self.rows32.shape[1]]))]
            model = onnxmltools.convert_lightgbm(self.booster, initial_types=shape, zipmap=False)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

        session, seconds = timed(make)
        feed = {"X": self.rows32}
        return Contender(
            "ONNX Runtime",
            lambda: session.run(None, feed)[0],
            self.expected,
            version=version_of("onnxruntime"),
            prepared_s=seconds,
        )

    def _daal4py(self) -> Contender:
        import daal4py

        model, seconds = timed(lambda: daal4py.mb.convert_model(self.booster))
        return Contender(
            "daal4py",
            lambda: model.predict(self.rows32),
            self.expected,
            version=version_of("daal4py"),
            prepared_s=seconds,
        )


def quickscorer(library: Path, model: Path, rows32: Array, expected: Array) -> Contender:
    """The published baseline, of our own making: quickscorer.cpp, built with the benchmarks."""
    code = ctypes.CDLL(str(library))
    code.quickscorer_read.restype = ctypes.c_void_p
    code.quickscorer_read.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    code.quickscorer_score.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    code.quickscorer_engine.restype = ctypes.c_char_p
    text = model.read_bytes()
    handle, seconds = timed(lambda: code.quickscorer_read(text, len(text)))
    if not handle:
        raise RuntimeError("a model that it does not read")
    out = np.empty(len(rows32))

    def run() -> Array:
        code.quickscorer_score(handle, rows32.ctypes.data, len(rows32), out.ctypes.data)
        return out

    name = f"QuickScorer, ours, {code.quickscorer_engine().decode()}"
    return Contender(name, run, expected, same_bits=True, prepared_s=seconds)


def _remembered(kept: Path, seconds: float) -> float:
    """Seconds of the compilation that made the kept file, which may have been an earlier run's."""
    note = kept.with_suffix(kept.suffix + ".seconds")
    if not note.exists():
        note.write_text(f"{seconds}\n")
    return float(note.read_text())
