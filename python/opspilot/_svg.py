"""Small hand-made plots: scales, axes and marks as inline SVG. Colours come from the classes of the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

Anchor = Literal["start", "middle", "end"]
Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps ``low … high`` of the data linearly to ``start … end`` of the drawing; values outside are drawn at its ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values within the scale."""
        return [tick for tick in nice_ticks(self.low, self.high, about) if self.low <= tick <= self.high]


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that cover ``low … high`` with about so many steps."""
    if not (math.isfinite(low) and math.isfinite(high)) or high < low:
        raise ValueError(f"no ticks between {low} and {high}")
    if high == low:
        return [low]
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if raw <= factor * power * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def percent(value: float) -> str:
    """0.05 as "5 %", with the digits that the value needs, at most one."""
    text = f"{100 * value:.1f}"
    return f"{text.removesuffix('.0')}\u202f%"


def plain(value: float) -> str:
    """Counts with thin spaces between thousands, other numbers as short as they go."""
    if value == int(value):
        return f"{int(value):,}".replace(",", "\u202f")
    return f"{value:.6g}"


@dataclass
class Plot:
    """A drawing with room for axes. Coordinates are those of its view box; the page scales it to its width.

    ``title`` says what is shown, for people who do not see the picture; ``x`` and ``y`` are the scales of the inner area.
    """

    title: str
    width: int = 520
    height: int = 340
    left: int = 58
    right: int = 26
    top: int = 14
    bottom: int = 46
    _parts: list[str] = field(default_factory=list)

    def x_scale(self, low: float, high: float) -> Scale:
        return Scale(low, high, self.left, self.width - self.right)

    def y_scale(self, low: float, high: float) -> Scale:
        return Scale(low, high, self.height - self.bottom, self.top)

    def x_axis(self, scale: Scale, label: str = "", form: Format = plain, about: int = 5, grid: bool = False) -> None:
        base = self.height - self.bottom
        for tick in scale.ticks(about):
            x = scale(tick)
            if grid:
                self.line([(x, self.top), (x, base)], "grid")
            self.line([(x, base), (x, base + 4)], "axis")
            self.text(x, base + 17, form(tick), "tick", "middle")
        self.line([(self.left, base), (self.width - self.right, base)], "axis")
        if label:
            self.text((self.left + self.width - self.right) / 2, self.height - 8, label, "label", "middle")

    def y_axis(self, scale: Scale, label: str = "", form: Format = plain, about: int = 5) -> None:
        for tick in scale.ticks(about):
            y = scale(tick)
            self.line([(self.left, y), (self.width - self.right, y)], "grid")
            self.text(self.left - 7, y + 4, form(tick), "tick", "end")
        if label:
            y = (self.top + self.height - self.bottom) / 2
            self._parts.append(
                f'<text class="label" text-anchor="middle" transform="translate(14 {_n(y)}) rotate(-90)">{escape(label)}</text>'
            )

    def line(self, points: Iterable[tuple[float, float]], css: str, hint: str = "") -> None:
        path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self._add("path", f'd="{path}" fill="none"', css, hint)

    def area(self, points: Sequence[tuple[float, float]], css: str, hint: str = "") -> None:
        path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) + "Z"
        self._add("path", f'd="{path}"', css, hint)

    def rect(self, x: float, y: float, width: float, height: float, css: str, hint: str = "") -> None:
        self._add("rect", f'x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="{_n(max(0.0, height))}"', css, hint)

    def circle(self, x: float, y: float, radius: float, css: str, hint: str = "") -> None:
        self._add("circle", f'cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"', css, hint)

    def diamond(self, x: float, y: float, radius: float, css: str, hint: str = "") -> None:
        self.area([(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)], css, hint)

    def square(self, x: float, y: float, radius: float, css: str, hint: str = "") -> None:
        self.rect(x - radius, y - radius, 2 * radius, 2 * radius, css, hint)

    def text(self, x: float, y: float, content: str, css: str = "note", anchor: Anchor = "start") -> None:
        self._parts.append(f'<text class="{css}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(content)}</text>')

    def svg(self) -> str:
        """The drawing as one element; its title is read aloud and shown by nothing else."""
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.title)}" '
            f'xmlns="http://www.w3.org/2000/svg">{"".join(self._parts)}</svg>'
        )

    def _add(self, tag: str, attributes: str, css: str, hint: str) -> None:
        inner = f"<title>{escape(hint)}</title>" if hint else ""
        self._parts.append(f'<{tag} class="{css}" {attributes}>{inner}</{tag}>')


def histogram(values: Sequence[float], low: float, high: float, bins: int) -> list[int]:
    """Counts of equal bins; what lies outside counts in the first or the last."""
    if bins < 1 or not high > low:
        raise ValueError(f"{bins} bins between {low} and {high}")
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int((value - low) / (high - low) * bins)))] += 1
    return counts


def _n(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"a coordinate that is {value}")
    return f"{value:.2f}".rstrip("0").rstrip(".")
