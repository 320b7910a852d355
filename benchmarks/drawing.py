"""Draws the pictures of the results as SVG that can be read on light and on dark paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

WIDTH = 760
# ink, muted, grid, ours, theirs, refused; then the lines of several peers.
_LIGHT = ("#1f2328", "#59636e", "#d1d9e0", "#1a7f5a", "#6e87a8", "#d1453b")
_DARK = ("#e6edf3", "#9198a1", "#3d444d", "#3fb984", "#8ba3c4", "#f0685d")
_NAMES = ("ink", "muted", "grid", "ours", "theirs", "refused")
_OPENING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}"'
    ' role="img">'
)
_STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
.title { font-size: 15px; font-weight: 600 }
.name { font-size: 13px; font-weight: 600 }
.end { text-anchor: end }
.middle { text-anchor: middle }
.line { fill: none; stroke-width: 2 }
.rule { stroke-width: 1 }
.dashed { stroke-dasharray: 4 3 }
.pale { opacity: 0.45 }
"""


def _colours(values: Sequence[str]) -> str:
    return "\n".join(
        f".{name} {{ fill: {value} }} .{name}-line {{ stroke: {value} }}"
        for name, value in zip(_NAMES, values, strict=True)
    )


@dataclass
class Picture:
    """A picture that is being drawn; `about` is for those who cannot see it."""

    height: float
    title: str
    about: str
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, what: str, style: str = "ink") -> None:
        """Write."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(what)}</text>')

    def bar(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """Fill a rectangle."""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}"'
            f' height="{max(0.0, height):.1f}" class="{style}"/>'
        )

    def line(self, points: Iterable[tuple[float, float]], style: str) -> None:
        """Draw a line through these points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" class="line {style}"/>')

    def dot(self, x: float, y: float, style: str) -> None:
        """Mark a point."""
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="{style}"/>')

    def svg(self) -> str:
        """The whole of it."""
        return "\n".join(
            (
                _OPENING.format(WIDTH, round(self.height)),
                f"<title>{escape(self.title)}</title>",
                f"<desc>{escape(self.about)}</desc>",
                f"<style>\n{_STYLE}{_colours(_LIGHT)}",
                f"@media (prefers-color-scheme: dark) {{\n{_colours(_DARK)}\n}}\n</style>",
                f'<text x="0" y="18" class="title ink">{escape(self.title)}</text>',
                *self.parts,
                "</svg>\n",
            )
        )


# ------------------------------------------------------------------------------- arrivals by window


def windows(arrivals: Iterable[tuple[float, bool]], length: float) -> list[tuple[float, int, int]]:
    """The server's windows: when each began, and how many calls it let through and refused."""
    found: list[tuple[float, int, int]] = []
    for at, refused in arrivals:
        # A window opens with the first call that is let through after the last one's end.
        if not found or (at >= found[-1][0] + length and not refused):
            found.append((at, 0, 0))
        began, passed, turned_away = found[-1]
        found[-1] = (began, passed + (not refused), turned_away + refused)
    return found


def arrivals(runs: Sequence[Mapping[str, Any]], window: float, limit: int, processes: int) -> str:
    """What reaches the server, window by window, one panel for each of these."""
    counted = {run["who"]: windows(run["arrivals"], window) for run in runs}
    most = max(passed + refused for found in counted.values() for _, passed, refused in found)
    ends = max(found[-1][0] + window for found in counted.values())
    top, left, gap, panel = 62, 34, 18, 150
    width = (WIDTH - left - gap * (len(runs) - 1)) / len(runs)
    across, up = width / ends, (panel - 4) / most
    picture = Picture(
        top + panel + 66,
        f"What reaches the server from {processes} processes with one key",
        "; ".join(
            f"{run['who']}: {sum(refused for _, _, refused in counted[run['who']])} calls refused,"
            f" {run['lost']} lost"
            for run in runs
        ),
    )
    floor = top + panel
    picture.text(left - 6, floor, "0", "muted end")
    picture.text(left - 6, floor - limit * up + 4, str(limit), "muted end")
    for place, run in enumerate(runs):
        x = left + place * (width + gap)
        found = counted[run["who"]]
        picture.text(x, top - 18, run["label"], "name ink")
        for began, passed, refused in found:
            bar = x + began * across
            picture.bar(bar, floor - passed * up, window * across - 1.5, passed * up, _who(run))
            above = floor - (passed + refused) * up
            picture.bar(bar, above, window * across - 1.5, refused * up, "refused")
        picture.line([(x, floor), (x + width, floor)], "rule grid-line")
        picture.line(
            [(x, floor - limit * up), (x + width, floor - limit * up)], "rule dashed muted-line"
        )
        refused = sum(refused for _, _, refused in found)
        picture.text(x, floor + 18, f"{refused} refused, {run['lost']} lost", "ink")
        picture.text(x, floor + 34, f"done after {run['seconds']:.0f} s", "muted")
    picture.text(left, floor + 58, f"Each bar is a window of {window:g} s:", "muted")
    picture.bar(left + 190, floor + 49, 10, 10, "ours")
    picture.bar(left + 204, floor + 49, 10, 10, "theirs")
    picture.text(left + 220, floor + 58, f"let through, {limit} at most;", "muted")
    picture.bar(left + 384, floor + 49, 10, 10, "refused")
    picture.text(left + 400, floor + 58, "refused with 429", "muted")
    return picture.svg()


def _who(run: Mapping[str, Any]) -> str:
    return "ours" if run["who"].startswith("syncro_async") else "theirs"


# ----------------------------------------------------------------------------------------- makespan


def makespans(runs: Sequence[Mapping[str, Any]], calls: int, what: str) -> str:
    """How long the same calls take, one panel for each number of processes."""
    processes = sorted({run["processes"] for run in runs})
    # All of them work in the most processes; in one, a share is the whole.
    names = [run["label"] for run in runs if run["processes"] == processes[-1]]
    # Who lost calls has nothing to compare, and may have waited for a timeout.
    longest = 1.15 * max(run["seconds"] for run in runs if not run["lost"])
    top, left, gap, row = 58, 190, 14, 24
    width = (WIDTH - left - gap * (len(processes) - 1)) / len(processes)
    across = (width - 100) / longest
    picture = Picture(
        top + row * len(names) + 30,
        f"{calls} calls {what}: how long until the last one ends",
        "; ".join(
            f"{run['who']} in {run['processes']}: {run['seconds']:.1f} s, {run['lost']} lost"
            for run in runs
        ),
    )
    for place, number in enumerate(processes):
        x = left + place * (width + gap)
        picture.text(x, top - 14, f"{number} process{'es' * (number > 1)}", "name ink")
        picture.line([(x, top - 4), (x, top + row * len(names))], "rule grid-line")
        for run in runs:
            if run["processes"] != number or run["label"] not in names:
                continue
            y = top + row * names.index(run["label"])
            style = _who(run) + (" pale" if run["lost"] else "")
            length = min(run["seconds"], longest) * across
            picture.bar(x + 1, y + 3, length, row - 8, style)
            end = x + length + 6
            picture.text(end, y + 15, f"{run['seconds']:.1f} s", "ink")
            if run["lost"]:
                picture.text(end + 42, y + 15, f"{run['lost']} lost", "refused")
    for place, name in enumerate(names):
        picture.text(left - 10, top + row * place + 15, name, "ink end")
    foot = "pale: calls were lost, so there was less to do"
    picture.text(left, top + row * len(names) + 20, foot, "muted")
    return picture.svg()


# ------------------------------------------------------------------------------ cost by concurrency


def costs(series: Mapping[str, Mapping[str, float]]) -> str:
    """CPU a call, by the number of callers; both axes by powers, lines named at their ends."""
    # Who makes one call at a time has no line.
    series = {name: by for name, by in series.items() if len(by) > 1}
    callers = sorted({int(number) for by in series.values() for number in by})
    values = [spent * 1e3 for by in series.values() for spent in by.values()]
    low, high = math.log2(min(values) * 0.9), math.log2(max(values) * 1.1)
    top, left, right, height = 50, 40, 230, 270
    step = (WIDTH - left - right) / max(1, len(callers) - 1)

    def y(milliseconds: float) -> float:
        return top + height * (high - math.log2(milliseconds)) / (high - low)

    picture = Picture(
        top + height + 46,
        "CPU a call, in milliseconds, by the number of callers at once",
        "; ".join(
            f"{name}: " + ", ".join(f"{n} callers {spent * 1e3:.2f} ms" for n, spent in by.items())
            for name, by in series.items()
        ),
    )
    for power in range(math.ceil(low), math.floor(high) + 1):
        level = y(2.0**power)
        picture.line([(left, level), (WIDTH - right, level)], "rule grid-line")
        picture.text(left - 8, level + 4, f"{2.0**power:g}", "muted end")
    for place, number in enumerate(callers):
        picture.text(left + place * step, top + height + 20, str(number), "muted middle")
    picture.text(left, top + height + 38, "callers at once", "muted")
    ends: list[tuple[float, str, str]] = []
    for name, by in series.items():
        style = "ours" if name.startswith("syncro_async") else "theirs"
        dashed = " dashed" if name == "syncro_async" and len(series) > 1 else ""
        points = [(left + callers.index(int(n)) * step, y(spent * 1e3)) for n, spent in by.items()]
        picture.line(points, f"{style}-line{dashed}")
        for point in points:
            picture.dot(*point, style)
        ends.append((points[-1][1], name, style))
    for (_, name, style), level in zip(
        sorted(ends), spread([end for end, _, _ in sorted(ends)], 16), strict=True
    ):
        picture.text(WIDTH - right + 12, level + 4, name, f"name {style}")
    return picture.svg()


def spread(levels: Sequence[float], apart: float) -> list[float]:
    """The same levels, in order, moved just so far that no two are closer than that."""
    moved: list[float] = []
    for level in levels:
        moved.append(max(level, moved[-1] + apart) if moved else level)
    return moved
