"""A report's pictures, as SVG. Needs matplotlib, which is loaded on first use only."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from untracr.errors import UntracrError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Json = dict[str, Any]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#000000")
"""Okabe and Ito's, told apart by colour-blind readers too."""

MARKERS = "osD^vPX*"
SPREAD = 0.6
"""Between the first and the last treatment drawn at one place, in places."""


def require_matplotlib() -> None:
    """Checks that pictures can be drawn.

    Raises:
        UntracrError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise UntracrError(
            "a report's pictures need matplotlib, which is not installed: "
            "pip install 'untracr[report]'"
        ) from None


def draw_pictures(report: Json) -> dict[str, bytes]:
    """All pictures of a report, by file name.

    Args:
        report: `FullReport.as_dict`.

    Raises:
        UntracrError: matplotlib is not installed.
    """
    require_matplotlib()
    pictures = {
        "by-length.svg": _by_length(report),
        "by-operation.svg": _by_operation(report),
    }
    for name, points in _curves(report).items():
        pictures[f"curve-{name}.svg"] = _curve(name, points, report)
    return pictures


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> bytes:
    """The same bytes each time."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "untracr"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _offsets(count: int) -> list[float]:
    """Where to draw several treatments at one place, so that intervals do not hide each other."""
    if count == 1:
        return [0.0]
    return [SPREAD * (number / (count - 1) - 0.5) for number in range(count)]


def _errors(shares: Sequence[Json]) -> list[list[float]]:
    """Down and up from each share, in percent."""
    down = [100 * (s["share"] - s["low"]) for s in shares]
    up = [100 * (s["high"] - s["share"]) for s in shares]
    return [[max(0.0, d) for d in down], [max(0.0, u) for u in up]]


def _style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def _by_length(report: Json) -> bytes:
    lengths = list(report["set"]["lengths"])
    treatments = report["treatments"]
    figure, axes = _figure(1.5 + 1.2 * max(4, len(lengths)), 3.8)
    for number, (treatment, offset) in enumerate(
        zip(treatments, _offsets(len(treatments)), strict=True)
    ):
        shares = [treatment["by_length"][length]["exact"] for length in lengths]
        axes.errorbar(
            [place + offset for place in range(len(lengths))],
            [100 * share["share"] for share in shares],
            yerr=_errors(shares),
            label=treatment["treatment"],
            linestyle="",
            capsize=3,
            **_style(number),
        )
    axes.set_xticks(range(len(lengths)), [f"{n}\n({report['set']['lengths'][n]})" for n in lengths])
    axes.set_xlabel("program length (how many programs)")
    _percent(axes, "y")
    axes.set_title("Token-exact by program length, 95% intervals", loc="left", fontsize="medium")
    _legend(figure)
    return _svg(figure)


def _percent(axes: Axes, side: str) -> None:
    name = "token-exact, %"
    if side == "y":
        axes.set_ylim(-3, 103)
        axes.set_ylabel(name)
        axes.grid(axis="y", alpha=0.3)
    else:
        axes.set_xlim(-3, 103)
        axes.grid(axis="x", alpha=0.3)


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside right upper", frameon=False, title="weights")


def _by_operation(report: Json) -> bytes:
    treatments = report["treatments"]
    kinds = sorted(
        {kind for treatment in treatments for kind in treatment["by_operation"]}, reverse=True
    )
    offsets = _offsets(len(treatments))
    height = 1.2 + len(kinds) * max(0.45, 0.13 * len(treatments))
    figure, axes = _figure(8.5, height)
    for number, (treatment, offset) in enumerate(zip(treatments, reversed(offsets), strict=True)):
        here = [kind for kind in kinds if treatment["by_operation"].get(kind, {}).get("total")]
        shares = [treatment["by_operation"][kind] for kind in here]
        axes.errorbar(
            [100 * share["share"] for share in shares],
            [kinds.index(kind) + offset for kind in here],
            xerr=_errors(shares),
            label=treatment["treatment"],
            linestyle="",
            capsize=3,
            **_style(number),
        )
    axes.set_yticks(range(len(kinds)), kinds)
    _percent(axes, "x")
    axes.set_xlabel("operations of the references written word for word, %")
    axes.set_title("By operation, 95% intervals", loc="left", fontsize="medium")
    _legend(figure)
    return _svg(figure)


def _curves(report: Json) -> dict[str, list[Json]]:
    """Treatments that were asked for with several sizes, ascending."""
    by_name: dict[str, list[Json]] = {}
    for treatment in report["treatments"]:
        if treatment["size"] is not None:
            by_name.setdefault(treatment["name"], []).append(treatment)
    return {
        name: sorted(points, key=lambda treatment: float(treatment["size"]))
        for name, points in by_name.items()
        if len(points) > 1
    }


def _curve(name: str, points: list[Json], report: Json) -> bytes:
    figure, axes = _figure(7.5, 3.8)
    sizes = [point["size"] for point in points]
    for number, (key, label) in enumerate(
        (("exact", "token-exact"), ("same_behaviour", "same behaviour"))
    ):
        shares = [point[key] for point in points]
        values = [100 * share["share"] for share in shares]
        axes.errorbar(sizes, values, yerr=_errors(shares), label=label, capsize=3, **_style(number))
        for plain in report["treatments"]:
            if plain["name"] == "compiled" and plain[key]["total"]:
                level = 100 * plain[key]["share"]
                colour = COLOURS[number]
                axes.axhline(level, color=colour, linestyle=":", label=f"{label}, as compiled")
    if name == "noisy":
        smallest = min((size for size in sizes if size > 0), default=1.0)
        axes.set_xscale("symlog", linthresh=smallest)
        axes.set_xlim(0.0 if min(sizes) == 0 else smallest / 1.5, 1.5 * max(sizes))
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    size = "noise, share of each matrix's scale" if name == "noisy" else "share of the width kept"
    axes.set_xlabel(size)
    axes.set_ylim(-3, 103)
    axes.set_ylabel("%")
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(f"Accuracy of {name} weights, 95% intervals", loc="left", fontsize="medium")
    figure.legend(loc="outside right upper", frameon=False)
    return _svg(figure)
