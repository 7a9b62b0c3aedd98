"""``describe`` for every object: one JSON value behind text, JSON and HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Format = Literal["text", "json", "html"]


class Described:
    """Gives ``describe``, ``__repr__`` and ``_repr_html_`` to a class that has ``_description``."""

    def _description(self) -> dict[str, Any]:
        raise NotImplementedError(type(self).__name__)

    def describe(self, format: Format = "text") -> str:
        """What the object is, as text for a terminal, as one JSON object, or as HTML for a notebook."""
        about = self._description()
        if format == "json":
            return json.dumps(about, ensure_ascii=False)
        if format == "html":
            return as_html(about)
        return as_text(about)

    def __repr__(self) -> str:
        about = self._description()
        head = ", ".join(f"{key}={_short(value)}" for key, value in about.items() if _is_plain(value) and key != "kind")
        return f"<opspilot {about.get('kind', type(self).__name__)} {head}>"

    def _repr_html_(self) -> str:
        return self.describe("html")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 64 else text[:16] + "…"


def _is_table(value: object) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(row, Mapping) for row in value)
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return list(names)


def as_text(about: Mapping[str, Any], indent: int = 0, most_rows: int = 40) -> str:
    """Lines of "key: value"; lists of mappings become aligned tables."""
    pad = " " * indent
    lines = []
    for key, value in about.items():
        title = key.replace("_", " ")
        if isinstance(value, Mapping):
            lines.append(f"{pad}{title}")
            lines.append(as_text(value, indent + 2, most_rows))
        elif _is_table(value):
            names = _columns(value)
            cells = [[_cell(row.get(name)) for name in names] for row in value[:most_rows]]
            widths = [min(48, max(len(name), *(len(row[i]) for row in cells))) for i, name in enumerate(names)]
            lines.append(f"{pad}{title} ({len(value)})")
            lines.append(pad + "  " + "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True)).rstrip())
            for row in cells:
                cut = (cell if len(cell) <= width else cell[: width - 1] + "…" for cell, width in zip(row, widths, strict=True))
                lines.append(pad + "  " + "  ".join(cell.ljust(width) for cell, width in zip(cut, widths, strict=True)).rstrip())
            if len(value) > most_rows:
                lines.append(f"{pad}  … {len(value) - most_rows} more")
        else:
            lines.append(f"{pad}{title}: {_cell(value)}")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(_cell(item) for item in value[:12])
        return shown + (f", … {len(value) - 12} more" if len(value) > 12 else "")
    return str(value)


def as_html(about: Mapping[str, Any]) -> str:
    """The same as nested tables, self-contained."""
    rows = []
    for key, value in about.items():
        if isinstance(value, Mapping):
            cell = as_html(value)
        elif _is_table(value):
            names = _columns(value)
            head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
            body = "".join(
                "<tr>" + "".join(f"<td>{html.escape(_cell(row.get(name)))}</td>" for name in names) + "</tr>" for row in value
            )
            cell = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        else:
            cell = html.escape(_cell(value))
        rows.append(
            f"<tr><th style='text-align:left;vertical-align:top'>{html.escape(key.replace('_', ' '))}</th><td>{cell}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"
