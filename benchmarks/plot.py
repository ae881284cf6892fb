"""Log-log plot of the cost per element against the size."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from targets import size_name

COPY = "np.copyto"


def costs(path: Path, panels: Mapping[str, Mapping[str, Mapping[int, float]]], footnote: str) -> None:
    """Write the plot: one panel per title, with a line per label of nanoseconds per element by size."""
    figure = Figure(figsize=(4 * len(panels) + 2, 4.2), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for number, (label, by_size) in enumerate(lines.items()):
            style = {"color": f"C{number % 10}", "linewidth": 2.5 if label.startswith("bitdrop") else 1.5}
            if label == COPY:
                style = {"color": "black", "linestyle": "--"}
            axis.plot(*zip(*by_size.items(), strict=True), label=label, marker=".", **style)
        axis.set(xscale="log", yscale="log", title=title, xlabel="elements (float32)")
        axis.xaxis.set_major_locator(FixedLocator(sorted({size for line in lines.values() for size in line})))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda size, _: size_name(round(size))))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
        axis.grid(alpha=0.3, axis="y")
    axes[0].set_ylabel("nanoseconds per element")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.supxlabel(footnote, fontsize="small", color="gray")
    figure.savefig(path, dpi=144)
