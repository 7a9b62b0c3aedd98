"""Hashed text against scikit-learn's HashingVectorizer: words and bigrams, alone and with characters 3-5."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from typing import Any

_BITS = 18
#: Texts per call for ours: what one request brings. The rival may also take the whole corpus at once; its faster form counts.
_BATCH = 100


def corpus(megabytes: float, seed: int = 7) -> list[str]:
    """ASCII messages of some 120 to 600 characters. Few words are common and many are rare, as in what people write."""
    draw = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    vocabulary = ["".join(draw.choices(letters, range(26, 0, -1), k=draw.randint(2, 10))) for _ in range(20_000)]
    weights = [1.0 / (rank + 2.7) for rank in range(len(vocabulary))]
    texts: list[str] = []
    size, wanted = 0, int(megabytes * 1e6)
    while size < wanted:
        words = draw.choices(vocabulary, weights, k=draw.randint(20, 100))
        text = " ".join(word.capitalize() if i % 12 == 0 else word for i, word in enumerate(words)) + "."
        texts.append(text)
        size += len(text)
    return texts


def compare(megabytes: float = 2.0, rounds: int = 5) -> dict[str, Any]:
    """Megabytes a second by median; ``ratio`` is ours over scikit-learn's."""
    texts = corpus(megabytes)
    size = sum(map(len, texts)) / 1e6
    out: dict[str, Any] = {"what": "hashed text", "megabytes": round(size, 3), "texts": len(texts), "rounds": rounds}
    out |= {"texts_per_call": _BATCH, "buckets": 1 << _BITS}
    out["words"] = _compare(texts, size, rounds, characters=False)
    out["words_and_characters"] = _compare(texts, size, rounds, characters=True)
    return out


def _compare(texts: list[str], size: float, rounds: int, characters: bool) -> dict[str, Any]:
    from opspilot._bench import interleaved

    ours, rival = _ours(characters), _scikit_learn(characters)
    batches = [texts[first : first + _BATCH] for first in range(0, len(texts), _BATCH)]

    def run(hash_batch: Callable[[list[str]], Any]) -> Callable[[], None]:
        def all_batches() -> None:
            for batch in batches:
                hash_batch(batch)

        return all_batches

    forms = {"opspilot": run(ours), "batches": run(rival), "one call": lambda: rival(texts)}
    taken = interleaved(forms, rounds)
    faster = min(("batches", "one call"), key=lambda form: taken[form]["median"])
    taken = {"opspilot": taken["opspilot"], "scikit-learn": taken[faster]}
    speed = {
        name: {"median": round(size / entry["median"], 2), "best": round(size / entry["min"], 2)} for name, entry in taken.items()
    }
    return {
        "grams": "words 1-2, characters 3-5" if characters else "words 1-2",
        "megabytes_per_second": speed,
        "scikit-learn_form": faster,
        "ratio": round(taken["scikit-learn"]["median"] / taken["opspilot"]["median"], 2),
        "entries": {"opspilot": int(ours(texts[:200])[0][-1]), "scikit-learn": sum(part.nnz for part in rival(texts[:200]))},
    }


def _ours(characters: bool) -> Callable[[list[str]], Any]:
    from opspilot._core import TextHasher

    hasher = TextHasher(
        bits=_BITS,
        words=(1, 2),
        characters=(3, 5) if characters else (0, 0),
        within_words=False,
        casefold=True,
        strip_accents=False,
        symbols="",
        tf="count",
        l2=True,
    )
    return hasher.transform


def _scikit_learn(characters: bool) -> Callable[[list[str]], Any]:
    from sklearn.feature_extraction.text import HashingVectorizer

    shared = {"n_features": 1 << _BITS, "alternate_sign": False, "norm": "l2", "dtype": "float32"}
    parts = [HashingVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), **shared)]
    if characters:
        parts.append(HashingVectorizer(analyzer="char", ngram_range=(3, 5), **shared))
    return lambda texts: [part.transform(texts) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=2.0)
    parser.add_argument("--quick", action="store_true", help="little text: to see that it runs, not for figures")
    given = parser.parse_args()
    print(json.dumps(compare(0.1, 2) if given.quick else compare(given.megabytes)))


if __name__ == "__main__":
    main()
