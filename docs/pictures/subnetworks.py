"""Picture of a network and three of its sub-networks: `python docs/pictures/subnetworks.py`."""

from pathlib import Path

import bitdrop
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIZES = (4, 6, 6, 2)
P = (0.25, 0.5, 0.5, 0.0)
COLOUR = "#0072B2"


def draw(axes: Axes, kept: list[np.ndarray], title: str) -> None:
    """Draw the layers from left to right. Dropped units are empty, and without connections."""
    places = [[(column, (size - 1) / 2 - row) for row in range(size)] for column, size in enumerate(SIZES)]
    for column in range(len(SIZES) - 1):
        for i, start in enumerate(places[column]):
            for j, end in enumerate(places[column + 1]):
                if kept[column][i] and kept[column + 1][j]:
                    axes.plot(*zip(start, end, strict=True), color="0.6", linewidth=0.8, zorder=1)
    for column, layer in enumerate(places):
        for place, is_kept in zip(layer, kept[column], strict=True):
            face, edge = (COLOUR, COLOUR) if is_kept else ("white", "0.75")
            style = "solid" if is_kept else "dashed"
            axes.scatter(*place, s=130, facecolor=face, edgecolor=edge, linestyle=style, zorder=2)
    axes.set_title(title, fontsize="medium")
    axes.set_axis_off()
    axes.margins(0.15, 0.08)


def main() -> None:
    """Draw the network with all units, and with three masks of bitdrop."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 4)
    draw(panels[0], [np.ones(size, dtype=bool) for size in SIZES], "the network")
    for number, axes in enumerate(panels[1:], start=1):
        masks = [
            bitdrop.Mask(size, p, key=(10, layer), stream=number)
            for layer, (size, p) in enumerate(zip(SIZES, P, strict=True))
        ]
        draw(axes, [np.asarray(mask) for mask in masks], f"training step {number}")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main()
