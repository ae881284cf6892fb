"""Pictures of dropout, DropBlock and Dropout2d on feature maps: single elements, squares, whole maps.

The maps are sums of a few soft hills, and dropped elements are black. All three drop about the same share.
"""

import argparse
from pathlib import Path

import bitdrop
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.progress import track

Floats = NDArray[np.float32]

SIDE = 40
MAPS = 3
HILLS = 6


def layers(p: float, seed: int) -> dict[str, bitdrop.Dropout | bitdrop.DropBlock2d | bitdrop.Dropout2d]:
    """Return a layer of each kind by name."""
    return {
        "Dropout": bitdrop.Dropout(p, rng=seed),
        "DropBlock2d": bitdrop.DropBlock2d(p, block_size=9, rng=seed),
        "Dropout2d": bitdrop.Dropout2d(p, rng=seed),
    }


def feature_maps(rng: np.random.Generator) -> Floats:
    """Return maps of soft hills in (0, 1], of shape (1, MAPS, SIDE, SIDE)."""
    centres = rng.uniform(0, SIDE, (MAPS, HILLS, 2, 1, 1))
    distances = ((np.mgrid[:SIDE, :SIDE] - centres) ** 2).sum(axis=2)
    hills = np.exp(-distances / (2 * (SIDE / 7) ** 2)).sum(axis=1)
    scaled: Floats = (0.3 + 0.7 * hills / hills.max()).astype(np.float32)
    return scaled[np.newaxis]


def plot(x: Floats, p: float, seed: int, path: Path) -> None:
    """Save the maps of each kind in a row."""
    figure = Figure(figsize=(5.2, 5.6), layout="constrained")
    kinds = layers(p, seed)
    rows = figure.subplots(len(kinds), MAPS)
    for row, (name, layer) in zip(rows, track(kinds.items(), description="Dropping"), strict=True):
        y = layer(x)
        print(f"{name}: {np.mean(y == 0):.2f} of the elements dropped")
        shown = np.ma.masked_equal(np.where(y == 0, 0, x), 0)  # without the scale, to compare with x
        for axes, image in zip(row, shown[0], strict=True):
            axes.set_facecolor("black")
            axes.imshow(image, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    figure.suptitle(f"Three feature maps, p = {p}")
    figure.savefig(path, dpi=100)


def main() -> None:
    """Print the share of dropped elements and save the pictures."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--p", type=float, default=0.3, help="probability that an element is dropped")
    parser.add_argument("--seed", type=int, default=3, help="seed of maps and masks")
    parser.add_argument("--output", type=Path, default=Path("drop_block.png"), help="file for the pictures")
    arguments = parser.parse_args()
    plot(feature_maps(np.random.default_rng(arguments.seed)), arguments.p, arguments.seed, arguments.output)
    print(f"Pictures: {arguments.output}")


if __name__ == "__main__":
    main()
