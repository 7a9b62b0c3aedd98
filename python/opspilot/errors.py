"""Exceptions: one class per kind of error, each with a stable code, the place and the cure."""

from __future__ import annotations

from collections.abc import Sequence


class Error(Exception):
    """Base of everything the package raises on bad input.

    ``code`` is a stable dotted name ("schema.unknown_field"), ``where`` the place (JSON pointer, byte offset, or line and
    column), ``hint`` what to do about it. ``str(error)`` holds all three.
    """

    def __init__(self, message: str, *, code: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        cure = f"; {self.hint}" if self.hint else ""
        return f"{place}{self.message}{cure}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (type(self), self.message, self.code, self.where, self.hint))


def _restore(cls: type[Error], message: str, code: str, where: str, hint: str) -> Error:
    return cls(message, code=code, where=where, hint=hint)


class UsageError(Error, ValueError):
    """The caller broke the contract of a function."""


class SchemaError(Error, ValueError):
    """A record, a table or a schema document."""


class FeatureError(Error, ValueError):
    """A transform, or a fingerprint that does not fit."""


class ModelError(Error, ValueError):
    """A ranker or classifier file, or an engine that this machine does not have."""


class PolicyError(Error, ValueError):
    """A policy document or an expression in it. ``findings``: everything the checker found in the document."""

    findings: Sequence[object] = ()


class EvaluationError(PolicyError):
    """An expression that has no value: "division by zero", with line and column."""


class CalibrationError(Error, ValueError):
    """Calibrators, thresholds, certificates."""


class BundleError(Error, ValueError):
    """A bundle as a whole: parts missing, hashes, golden rows."""


class AuditError(Error, ValueError):
    """A decision record or a log."""


class LimitError(Error, ValueError):
    """A stated limit was exceeded."""


class InternalError(Error):
    """A promise of the library itself was broken; please report."""
