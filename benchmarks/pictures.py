"""Draws the pictures of the README and the docs, each for light and for dark paper.

The same figures give the same bytes: with one release of matplotlib, on any machine and day.
"""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.window_run import RATE, Sent, fullest, rows_of

OURS = "syncro_async"
WIDTH = 8.4  # inches: a little less than a README is wide, so that no text is made smaller


class Paper(NamedTuple):
    """The colours of a picture."""

    name: str
    back: str
    ink: str
    muted: str
    grid: str
    ours: str
    theirs: str
    bad: str
    pale: str


PAPERS = (
    Paper(
        *("light", "#ffffff", "#1f2328", "#59636e", "#d1d9e0"),
        *("#1a7f5a", "#5b7599", "#c9302c", "#b7d9cc"),
    ),
    Paper(
        *("dark", "#0d1117", "#e6edf3", "#9aa4af", "#3d444d"),
        *("#3fb984", "#8ba3c4", "#ff7b72", "#23523f"),
    ),
)


@contextmanager
def _style(paper: Paper) -> Iterator[None]:
    settings = {
        "svg.hashsalt": "syncro_async",
        "svg.fonttype": "none",
        "path.simplify": False,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "figure.facecolor": paper.back,
        "axes.facecolor": paper.back,
        "text.color": paper.ink,
        "axes.labelcolor": paper.ink,
        "axes.titlecolor": paper.ink,
        "axes.edgecolor": paper.muted,
        "xtick.color": paper.muted,
        "ytick.color": paper.muted,
        "grid.color": paper.grid,
    }
    with mpl.rc_context(settings):
        yield


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    # Every text names a list of fonts, of which the last one is enough.
    return written.getvalue().replace("'DejaVu Sans', sans-serif", "sans-serif")


def _figure(height: float, panels: int = 1) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def _colour(paper: Paper, who: str) -> str:
    return paper.ours if who.startswith(OURS) else paper.theirs


def both(draw: Any, *figures: Any) -> dict[str, str]:
    """The picture on each paper, by the paper's name."""
    made = {}
    for paper in PAPERS:
        with _style(paper):
            made[paper.name] = _svg(draw(paper, *figures))
    return made


# ---------------------------------------------------------------------------------------- arrivals


def arrivals(paper: Paper, runs: Sequence[Mapping[str, Any]], window: float, limit: int) -> Figure:
    """What reaches the server, window by window, one panel for each client."""
    figure, panels = _figure(3.5, len(runs))
    ends = max(run["windows"][-1][0] + window for run in runs)
    for panel, run in zip(panels, runs, strict=True):
        starts = [began + window / 2 for began, _, _ in run["windows"]]
        passed = [each for _, each, _ in run["windows"]]
        refused = [each for _, _, each in run["windows"]]
        panel.bar(starts, passed, window * 0.86, color=_colour(paper, run["who"]))
        panel.bar(starts, refused, window * 0.86, bottom=passed, color=paper.bad)
        panel.axhline(limit, color=paper.ink, linewidth=1, linestyle=(0, (4, 3)))
        panel.set_title(run["label"], loc="left")
        panel.set_xlim(0, ends)
        panel.grid(axis="y")
        told = f"{sum(refused)} answered 429\n" + (
            f"✕ {run['lost']} calls lost" if run["lost"] else "no call lost"
        )
        panel.set_xlabel(told, color=paper.bad if run["lost"] else paper.ink, loc="left")
    panels[0].set_ylabel(f"requests in {window:g} s")
    panels[0].annotate(
        f"limit {limit}", (ends, limit), (-2, 3), textcoords="offset points", ha="right"
    )
    panels[1].annotate("answered 429", (0.22, 0.86), xycoords="axes fraction", color=paper.bad)
    figure.supxlabel("seconds since the first request", fontsize=11, color=paper.muted)
    return figure


def about_arrivals(runs: Sequence[Mapping[str, Any]], calls: int, processes: int) -> str:
    """What the picture says, for those who do not see it."""
    said = "; ".join(
        f"{run['label']}: {sum(each for _, _, each in run['windows'])} answered 429,"
        f" {run['lost']} lost"
        for run in runs
    )
    return f"{calls} calls from {processes} processes with one key, window by window. {said}."


# ---------------------------------------------------------------------------------------- visitors


def visitors(paper: Paper, waits: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """How long each visitor waits beside a bulk job, with the pacing and without it."""
    figure, panels = _figure(3.1, len(waits))
    for panel, (name, visits) in zip(panels, reversed([*waits.items()]), strict=True):
        colour = paper.ours if name == "paced" else paper.theirs
        panel.add_patch(_dots([(came / 60, wait) for came, wait in visits], colour))
        middle = statistics.median(wait for _, wait in visits)
        panel.axhline(middle, color=paper.ink, linewidth=1, linestyle=(0, (4, 3)))
        panel.set_title(
            f"half wait less than {middle:.1f} s", loc="right", size=11, weight="normal"
        )
        panel.set_title(f"bulk job {name}", loc="left")
        panel.set_xlim(0.8, 10.3)
        panel.set_ylim(-2, 62)
        panel.grid(axis="y")
        panel.set_xlabel("minutes since the bulk job began")
    panels[0].set_ylabel("a visitor's wait (s)")
    return figure


def _dots(points: Sequence[tuple[float, float]], colour: str) -> PathPatch:
    """Dots as one path with round ends, which takes a third of the bytes of as many markers."""
    corners = [point for point in points for _ in range(2)]
    moves = [Path.MOVETO, Path.LINETO] * len(points)
    return PathPatch(Path(corners, moves), edgecolor=colour, linewidth=3.5, capstyle="round")


def about_visitors(waits: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """What the picture says, for those who do not see it."""
    said = []
    for name, visits in waits.items():
        ordered = sorted(wait for _, wait in visits)
        most = ordered[int(0.95 * (len(ordered) - 1))]
        said.append(
            f"{name}, half of them wait less than {statistics.median(ordered):.1f} s and"
            f" 95 of 100 less than {most:.1f} s"
        )
    return f"Waits of visitors beside an endless bulk job: {'; '.join(said)}."


# ---------------------------------------------------------------------------------------- makespan


def makespan(paper: Paper, runs: Sequence[Mapping[str, Any]], calls: int, bound: float) -> Figure:
    """How long the same calls take, by the number of processes."""
    figure, (panel,) = _figure(4.4)
    counts = sorted({run["processes"] for run in runs})
    ends = []
    for who in dict.fromkeys(run["who"] for run in runs):
        own = [run for run in runs if run["who"] == who]
        lost = max(run["lost"] for run in own)
        colour = paper.bad if lost else _colour(paper, who)
        places = [counts.index(run["processes"]) for run in own]
        seconds = [run["seconds"] for run in own]
        line = (0, (2, 2)) if lost else "-"
        panel.plot(places, seconds, color=colour, linestyle=line, linewidth=2)
        for place, run in zip(places, own, strict=True):
            panel.plot(
                *(place, run["seconds"], "X" if run["lost"] else "o"),
                color=paper.bad if run["lost"] else colour,
                markersize=8 if run["lost"] else 6,
            )
        label = own[-1]["label"] + (f" (✕ {own[-1]['lost']} lost)" if lost else "")
        ends.append((seconds[-1], label, colour))
    panel.axhline(bound, color=paper.ink, linewidth=1, linestyle=(0, (4, 3)))
    panel.annotate(
        f"bound {bound:.1f} s",
        *((len(counts) + 0.1, bound), (0, -14)),
        textcoords="offset points",
        ha="right",
    )
    panel.set_xticks(range(len(counts)), [str(number) for number in counts])
    panel.set_xlabel("processes with one key")
    panel.set_ylabel(f"seconds until the last of {calls} calls ends")
    # A run that lost calls may have waited for a timeout; it does not set the scale.
    panel.set_ylim(0, 1.06 * max(run["seconds"] for run in runs if not run["lost"]))
    panel.grid(axis="y")
    _label(panel, ends, len(counts) - 1, scale=(panel.get_ylim()[1], 19))
    panel.set_xlim(-0.15, len(counts) - 1 + 1.15)
    return figure


def about_makespan(runs: Sequence[Mapping[str, Any]], calls: int, bound: float) -> str:
    """What the picture says, for those who do not see it."""
    most = max(run["processes"] for run in runs)
    said = "; ".join(
        f"{run['label']} {run['seconds']:.1f} s, {run['lost']} lost"
        for run in runs
        if run["processes"] == most
    )
    return f"{calls} calls at a limit in {most} processes, bound {bound:.1f} s. {said}."


def _label(
    panel: Any, ends: Sequence[tuple[float, str, str]], x: float, scale: tuple[float, int]
) -> None:
    """Name the lines at their ends; `scale`: the height of the axis, and how many labels fit."""
    height, lines = scale
    ordered = sorted(ends)
    levels = spread([value for value, _, _ in ordered], height / lines)
    for (_, label, colour), level in zip(ordered, levels, strict=True):
        panel.annotate(
            label, (x, level), (10, 0), textcoords="offset points", va="center", color=colour
        )


def spread(levels: Sequence[float], apart: float) -> list[float]:
    """The same levels, in order, moved just so far that no two are closer than that."""
    moved: list[float] = []
    for level in levels:
        moved.append(max(level, moved[-1] + apart) if moved else level)
    return moved


# --------------------------------------------------------------------------------------------- cost


def cost(paper: Paper, series: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """CPU a call, by the number of callers; lines are named at their ends."""
    figure, (panel,) = _figure(4.6)
    series = {name: by for name, by in series.items() if len(by) > 1}
    callers = sorted({int(number) for by in series.values() for number in by})
    ends = []
    for name, by in series.items():
        colour = _colour(paper, name)
        values = [1e3 * middle for middle, _ in by.values()]
        panel.errorbar(
            *([callers.index(int(number)) for number in by], values),
            yerr=[1e3 * noise for _, noise in by.values()],
            color=colour,
            linewidth=2,
            marker="o",
            markersize=5,
            capsize=4,
        )
        ends.append((values[-1], name, colour))
    panel.set_yscale("log", base=2)
    low, high = (
        1e3 * pick(m for by in series.values() for m, _ in by.values()) for pick in (min, max)
    )
    ticks = [each for each in (0.125, 0.25, 0.5, 1, 2, 4, 8, 16) if low / 1.5 <= each <= high * 1.5]
    panel.yaxis.set_major_locator(FixedLocator(ticks))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_yticks(ticks, [f"{each:g}" for each in ticks])
    panel.set_ylim(low / 1.4, high * 1.4)
    panel.set_xticks(range(len(callers)), [str(number) for number in callers])
    panel.set_xlabel("callers at once")
    panel.set_ylabel("CPU a call (ms, each line twice the one below)")
    panel.grid(axis="y")
    # The axis is logarithmic, and so is the distance of labels.
    ordered = sorted(ends)
    step = (high * 1.4 / (low / 1.4)) ** (1 / 20)
    level = 0.0
    for value, name, colour in ordered:
        level = max(value, level * step)
        panel.annotate(
            *(name, (len(callers) - 1, level), (12, 0)),
            textcoords="offset points",
            va="center",
            color=colour,
        )
    panel.set_xlim(-0.2, len(callers) - 1 + 1.75)
    return figure


def about_cost(series: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """What the picture says, for those who do not see it."""
    said = "; ".join(
        f"{name} {1e3 * list(by.values())[-1][0]:.2f} ms"
        for name, by in series.items()
        if len(by) > 1
    )
    most = max(int(number) for by in series.values() for number in by)
    return f"CPU a call by the number of callers. With {most} callers: {said}."


# -------------------------------------------------------------------------------------------- slots


def slots(paper: Paper, sent: Sequence[Sent]) -> Figure:
    """What becomes of slots: on the wire, held, and what the server counts."""
    figure, (panel,) = _figure(4.2)
    for row, one in rows_of(list(sent)):
        place = (row - 0.38, 0.76)
        panel.broken_barh(
            [(one.answered, one.free_again - one.answered)], place, facecolors=paper.pale
        )
        panel.broken_barh([(one.left, one.answered - one.left)], place, facecolors=paper.ours)
        panel.plot(one.arrived, row, "o", color=paper.bad, markersize=5)
        panel.plot(one.arrived, RATE.calls + 0.2, "o", color=paper.bad, markersize=4)
    begins, most = fullest(list(sent))
    panel.broken_barh(
        *([(begins, RATE.seconds)], (RATE.calls - 0.2, 0.8)),
        facecolors="none",
        edgecolors=paper.bad,
        linewidth=1.5,
    )
    panel.annotate(
        f"the fullest {RATE.seconds:g} s at the server: {most} requests",
        *((begins, RATE.calls + 0.6), (0, -13)),
        textcoords="offset points",
        color=paper.bad,
    )
    panel.set_yticks(
        range(RATE.calls + 1), [*(f"slot {n + 1}" for n in range(RATE.calls)), "server"]
    )
    panel.set_ylim(RATE.calls + 1.5, -1.3)
    panel.set_xlim(0, max(one.answered for one in sent) + 5)
    panel.set_xlabel("seconds")
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    for x, colour, mark, text in (
        (0.0, paper.ours, "■", "on the wire"),
        (0.18, paper.pale, "■", "one window and the guard after its answer"),
        (0.66, paper.bad, "●", "counted by the server"),
    ):
        panel.annotate(mark, (x, 0.95), xycoords="axes fraction", color=colour)
        panel.annotate(text, (x + 0.025, 0.95), xycoords="axes fraction")
    return figure
