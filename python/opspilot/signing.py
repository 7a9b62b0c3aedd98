"""Signed releases of policies and bundles: Ed25519 in DSSE envelopes."""

from __future__ import annotations

from collections.abc import Mapping

from opspilot import _core
from opspilot.deciding import Bundle
from opspilot.policy import Document, Documents, named_documents, named_overlays

__all__ = ["make_key", "public_key", "sign_bundle", "sign_policy"]


def make_key() -> bytes:
    """A new signing key, 32 bytes from the system's random source. Whoever has it signs: keep it out of bundles and
    repositories."""
    return _core.make_signing_key()


def public_key(key: bytes) -> str:
    """What engines trust of a signing key, 64 hex digits."""
    return _core.public_key(key)


def sign_policy(
    key: bytes,
    *,
    sequence: int,
    bundle: str,
    policy: Documents | None = None,
    overlay: Mapping[str, Document | None] | None = None,
) -> bytes:
    """A release for ``Engine.swap(signed=…)``: everything that one publication changes, as one envelope.

    ``bundle``: name of the bundle that it is for. ``sequence`` grows with every release; an engine takes none that is not
    above the last it took. ``policy`` and ``overlay`` as ``Engine.swap`` takes them.
    """
    documents = None if policy is None else named_documents(policy)
    return _core.sign_policy(key, sequence, bundle, documents, named_overlays(overlay or {}))


def sign_bundle(key: bytes, bundle: Bundle, *, sequence: int) -> bytes:
    """The statement that a packed bundle may be run, for ``Engine.swap(bundle, signed=…)``."""
    return _core.sign_bundle(key, sequence, bundle.fingerprint)
