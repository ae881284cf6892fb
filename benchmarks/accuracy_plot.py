"""Plot of test accuracy against seconds of training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

STYLES: dict[str, dict[str, Any]] = {
    "no dropout": {"color": "#999999"},
    "usual dropout": {"color": "#D55E00"},
    "thinned, groups=1": {"color": "#0072B2", "linewidth": 2.5},
    "thinned, groups=4": {"color": "#56B4E9", "linestyle": "--"},
}
"""The settings that are drawn. All others are in the table."""


def plot(results: Mapping[str, Mapping[str, Any]], path: Path, footnote: str) -> None:
    """Write the plot: a panel for each data set, a line for each setting."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    for axes, (name, settings) in zip(panels, results.items(), strict=False):
        for setting, style in STYLES.items():
            result = settings[setting]
            axes.plot(result["seconds"], result["test"], marker=".", label=setting, **style)
        best = max(max(result["test"]) for result in settings.values())
        lowest = min(result["test"][-1] for result in settings.values())
        axes.set(title=name, ylim=(lowest - 4, best + 1))
        axes.grid(alpha=0.3)
    for axes in panels[2:]:
        axes.set_xlabel("seconds of training, CPU time of one thread")
    for axes in panels[::2]:
        axes.set_ylabel("test accuracy (%)")
    for axes in panels[len(results) :]:
        axes.set_visible(False)
    entries = panels[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=4, frameon=False, title=footnote)
    figure.savefig(path, dpi=100)
