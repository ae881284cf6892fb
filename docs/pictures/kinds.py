"""Picture of what each kind of dropout does to one array: `python docs/pictures/kinds.py`."""

from collections.abc import Callable
from pathlib import Path

import bitdrop
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

Array = NDArray[np.float32]
SHAPE = (4, 3, 16, 16)  # samples, channels, height, width
GAP = 2  # pixels between channels and samples
COLOURS = LinearSegmentedColormap.from_list("kept", ["#20242b", "#5b9bd5", "#f7f2d0"])


def images() -> Array:
    """Return smooth images of about 1, so that dropped pixels stand out."""
    rows, columns = np.mgrid[0:1:16j, 0:1:16j]
    phases = np.arange(SHAPE[0] * SHAPE[1]).reshape(*SHAPE[:2], 1, 1)
    x: Array = (1 + 0.15 * np.sin(5 * rows + 4 * columns + phases)).astype(np.float32)
    return x


def zoneout(x: Array) -> Array:
    """Keep the previous value for three in ten elements; here the previous time step is darker."""
    return bitdrop.zoneout(x, 0.35 * x, 0.3, rng=0)[0]


def over_samples(x: Array) -> Array:
    """Treat the samples as four time steps, with one mask for all."""
    return bitdrop.dropout(x, 0.3, rng=2, noise_shape=(1, None, None, None))[0]


KINDS: dict[str, Callable[[Array], Array]] = {
    "x": lambda x: x,
    "Dropout(0.3)": bitdrop.Dropout(0.3, rng=0),
    "Dropout1d(0.3)": lambda x: bitdrop.Dropout1d(0.3, rng=1)(x.reshape(-1, *SHAPE[2:])).reshape(SHAPE),
    "Dropout2d(0.3)": bitdrop.Dropout2d(0.3, rng=1),
    "DropPath(0.3)": bitdrop.DropPath(0.3, rng=4),
    "DropBlock2d(0.3, 5)": bitdrop.DropBlock2d(0.3, 5, rng=0),
    "one mask for all samples": over_samples,
    "one mask for all channels": lambda x: bitdrop.dropout(x, 0.3, rng=3, noise_shape=(None, 1, None, None))[
        0
    ],
    "AlphaDropout(0.3)": bitdrop.AlphaDropout(0.3, rng=0),
    "FeatureAlphaDropout(0.3)": bitdrop.FeatureAlphaDropout(0.3, rng=1),
    "GaussianDropout(0.1)": bitdrop.GaussianDropout(0.1, rng=0),
    "Zoneout(0.3)": zoneout,
}


def tiled(x: Array) -> Array:
    """Return one image with a row for each sample and a column for each channel, with gaps of NaN."""
    samples, channels, height, width = x.shape
    padded = np.full((samples, channels, height + GAP, width + GAP), np.nan, dtype=np.float32)
    padded[:, :, :height, :width] = x
    return padded.transpose(0, 2, 1, 3).reshape(samples * (height + GAP), -1)[:-GAP, :-GAP]


def main() -> None:
    """Draw a panel for each kind."""
    x = images()
    figure = Figure(figsize=(11, 5.6), layout=ConstrainedLayoutEngine(wspace=0.09, hspace=0.06))
    for axes, (name, kind) in zip(figure.subplots(2, 6).flat, KINDS.items(), strict=True):
        axes.imshow(tiled(kind(x)), cmap=COLOURS, vmin=-0.2, vmax=1.9, interpolation="nearest")
        axes.set_title(name, fontsize="small")
        axes.set_axis_off()
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    main()
