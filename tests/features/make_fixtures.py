"""Writes tests/features/fixtures/oracle.json: what scikit-learn and Python's Unicode tables say about the same inputs.

Run with scikit-learn installed; the file is committed so that the tests need neither.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

WORD = re.compile(r"[\w\u0300-\u036f]+")
DOCUMENTS = [
    "How are you today? How are you doing?",
    "I want to report a fraud on my account, please.",
    "please block my card; somebody used my card in Rome",
    "Straße und Maße, groß und GROSS",
    "Café CAFÉ cafe\u0301 naïve résumé",
    "ﬁnal ﬂag ① ½ ２０２４ ｆｕｌｌ",
    "Ω Ω µ μ K K Å Å",
    "Привет, как дела? ПРИВЕТ",
    "ΣΊΣΥΦΟΣ Σίσυφος",
    "東京タワー ﾄｳｷｮｳ 한국어 한국어",
    "İstanbul ISTANBUL ıstanbul",
    "a_b c-d e.f 3.14 x² H₂O",
    "tab\tnew\nline\u00a0space\u2003wide\u200bzero",
    "emoji 😀 family 👨\u200d👩\u200d👧 flag 🇩🇪 end",
    "हिन्दी में लिखा है",
    "q\u0307\u0323 q\u0323\u0307 d\u0307\u0323",
    "",
    "   ...   ",
    "the card the card the card account",
]


def normalised(text: str, fold: bool) -> str:
    """NFKC, and case folding that stays normalised."""
    out = unicodedata.normalize("NFKC", text)
    return unicodedata.normalize("NFKC", out.casefold()) if fold else out


def is_word(char: str) -> bool:
    """Letters, marks, numbers and connectors."""
    return unicodedata.category(char)[0] in "LMN" or unicodedata.category(char) == "Pc"


def words(text: str, fold: bool = True) -> list[str]:
    """Runs of word characters after normalisation."""
    spaced = "".join(c if is_word(c) else " " for c in normalised(text, fold))
    return spaced.split()


def main() -> None:
    """Computes everything and writes one file."""
    cases = [{"text": t, "folded": words(t), "plain": words(t, fold=False)} for t in DOCUMENTS]
    tfidf = TfidfVectorizer(analyzer=lambda t: [" ".join(g) for n in (1, 2) for g in _windows(words(t), n)], sublinear_tf=True)
    matrix = tfidf.fit_transform(DOCUMENTS).tocoo()
    terms = tfidf.get_feature_names_out()
    weighted: list[dict[str, float]] = [{} for _ in DOCUMENTS]
    for row, column, value in zip(matrix.row, matrix.col, matrix.data, strict=True):
        weighted[row][str(terms[column])] = float(value)
    counters = {
        name: CountVectorizer(analyzer=name, ngram_range=(3, 5), preprocessor=lambda t: " ".join(words(t)))
        for name in ("char_wb", "char")
    }
    counted = {}
    for name, vectoriser in counters.items():
        # scikit-learn pads words only in char_wb; we pad the whole text in the other kind, too.
        docs = [f" {' '.join(words(t))} " if name == "char" else t for t in DOCUMENTS if words(t)]
        if name == "char":
            vectoriser.preprocessor = lambda t: t
        analyse = vectoriser.build_analyzer()
        counted[name] = [sorted(analyse(t)) for t in docs]
    rng = random.Random(7)
    values = [round(rng.lognormvariate(3, 1.5), 3) + 1e6 for _ in range(500)]
    scaler = StandardScaler().fit(np.array(values)[:, None])
    bins = KBinsDiscretizer(8, encode="ordinal", strategy="quantile", quantile_method="linear").fit(np.array(values)[:, None])
    few = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0]
    few_bins = KBinsDiscretizer(4, encode="ordinal", strategy="quantile", quantile_method="linear").fit(np.array(few)[:, None])
    out = {
        "texts": cases,
        "tfidf": [{"text": t, "terms": w} for t, w in zip(DOCUMENTS, weighted, strict=True)],
        "char_wb": counted["char_wb"],
        "char": counted["char"],
        "numbers": {
            "values": values,
            "mean": float(scaler.mean_[0]),
            "scale": float(scaler.scale_[0]),
            "standardised": scaler.transform(np.array(values)[:, None])[:, 0].tolist(),
            "edges": bins.bin_edges_[0].tolist(),
            "bins": bins.transform(np.array(values)[:, None])[:, 0].tolist(),
            "few": few,
            "few_bins": few_bins.transform(np.array(few)[:, None])[:, 0].tolist(),
        },
    }
    path = Path(__file__).parent / "fixtures" / "oracle.json"
    path.write_text(json.dumps(out, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def _windows(items: list[str], n: int) -> list[list[str]]:
    return [items[i : i + n] for i in range(len(items) - n + 1)]


if __name__ == "__main__":
    main()
