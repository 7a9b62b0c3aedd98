"""The parts every page is made of: skeleton, tables, boxes, legends. The style sheet is page.css."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

#: Verdicts from the widest to the narrowest, with the class that colours them.
VERDICTS = ("auto_execute", "require_approval", "suggest", "escalate", "abstain")

STYLE = files("opspilot.report").joinpath("page.css").read_text(encoding="utf-8")


def document(title: str, body: str) -> str:
    """A whole page. Nothing in it is fetched from anywhere, and browsers are told to refuse if it were."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(part for part in content if part) + "\n</section>"


def paragraph(text: str, css: str = "") -> str:
    return f"<p{_class(css)}>{escape(text)}</p>"


def callout(*paragraphs: str, warn: bool = True) -> str:
    """A box that is not overlooked; the paragraphs are HTML."""
    return f'<div class="{"call" if warn else "plain"}">' + "".join(f"<p>{text}</p>" for text in paragraphs) + "</div>"


def figure(svg: str, caption: str, legend: str = "") -> str:
    return f"<figure>{legend}{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def legend(entries: Iterable[tuple[str, str, str]]) -> str:
    """Entries of shape (square, circle, diamond, line or dash), class and text."""
    shapes = {
        "square": '<rect x="1" y="1" width="12" height="12" class="{}"/>',
        "circle": '<circle cx="7" cy="7" r="5" class="{}"/>',
        "diamond": '<path d="M7 1L13 7L7 13L1 7Z" class="{}"/>',
        "box": '<rect x="2" y="2" width="10" height="10" class="{}"/>',
        "line": '<path d="M0 7H14" class="{}"/>',
    }
    items = (
        f'<span><svg viewBox="0 0 14 14" aria-hidden="true">{shapes[shape].format(css)}</svg>{escape(text)}</span>'
        for shape, css, text in entries
    )
    return f'<div class="legend">{"".join(items)}</div>'


def facts(entries: Iterable[tuple[str, str]]) -> str:
    """Name and value; values are shown in a fixed-width face."""
    return '<dl class="facts">' + "".join(f"<dt>{escape(k)}</dt><dd class='mono'>{escape(v)}</dd>" for k, v in entries) + "</dl>"


def tiles(entries: Iterable[tuple[str, str]]) -> str:
    """Large figures with what they are."""
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in entries)
        + "</div>"
    )


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[int] = (),
    ours: Sequence[int] = (),
    narrow: bool = False,
) -> str:
    """Cells are text. ``numbers``: columns set flush right; ``ours``: rows that stand out."""
    names = "".join(f"<th{_class('n' if i in numbers else '')}>{escape(name)}</th>" for i, name in enumerate(head))
    body = []
    for number, row in enumerate(rows):
        cells = "".join(
            f"<th>{escape(cell)}</th>" if i == 0 else f"<td{_class('n' if i in numbers else '')}>{escape(cell)}</td>"
            for i, cell in enumerate(row)
        )
        body.append(f"<tr{_class('ours' if number in ours else '')}>{cells}</tr>")
    css = "wide narrow" if narrow else "wide"
    return f'<div class="{css}"><table><thead><tr>{names}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""
