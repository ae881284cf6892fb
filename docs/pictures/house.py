"""Drawing of the package: who imports whom, floor by floor: `python docs/pictures/house.py`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import bitdrop
from matplotlib.figure import Figure

PACKAGE = Path(bitdrop.__file__).parent
FILES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
EXTENSION = "_core (C++)"
COLOURS = {"front-ends": "#f4d9c6", "layers and kinds": "#d5e5f3", "values": "#dcedd5", "ground": "#e8e8e8"}


def room(path: Path) -> str:
    """Return the folder or file of the package that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first if first.endswith(".py") else f"{first}/"


def imported_rooms(tree: ast.Module) -> Iterator[str]:
    """Yield what a file imports of the package."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("bitdrop"):
            continue
        for alias in node.names:
            name = f"{node.module}.{alias.name}".split(".")[1]
            if name == "_core":
                yield EXTENSION
            elif (PACKAGE / f"{name}.py").exists():
                yield f"{name}.py"
            elif (PACKAGE / name).is_dir():
                yield f"{name}/"


def lower_rooms() -> dict[str, set[str]]:
    """Return what each room imports. The package's own list of names is left out."""
    below: dict[str, set[str]] = {}
    for path, tree in FILES.items():
        name = room(path)
        if not name.startswith("__"):
            below.setdefault(name, set()).update(set(imported_rooms(tree)) - {name})
    return below


def floors(below: dict[str, set[str]]) -> list[list[str]]:
    """Return the rooms of each floor, from the ground up. A room stands above all that it imports."""

    def height(name: str) -> int:
        return 1 + max(map(height, below.get(name, ())), default=-1)

    rooms = sorted(set(below) | {EXTENSION})
    return [[name for name in rooms if height(name) == floor] for floor in range(1 + max(map(height, rooms)))]


def colour(name: str) -> str:
    """Return the colour of a room by its task."""
    if name in ("torch/", "jax/", "dask/"):
        return COLOURS["front-ends"]
    if name in ("kinds/", "_layer.py", "_run.py"):
        return COLOURS["layers and kinds"]
    return COLOURS["values" if name in ("records/", "_compat.py", EXTENSION) else "ground"]


def draw(below: dict[str, set[str]]) -> Figure:
    """Draw a row of rooms for each floor, with a line down to each that a room imports."""
    rows = floors(below)
    places = {
        name: ((n + 1) / (len(row) + 1) + 0.02 * (-1) ** floor, floor)
        for floor, row in enumerate(rows)
        for n, name in enumerate(row)
    }
    figure = Figure(figsize=(9, 0.85 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for upper, lowers in below.items():
        for lower in lowers:
            (x0, y0), (x1, y1) = places[upper], places[lower]
            axes.plot([x0, x1], [y0 - 0.14, y1 + 0.14], color="#90a0b0", linewidth=0.6, zorder=1)
    for name, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": colour(name), "edgecolor": "#506070"}
        axes.text(x, y, name, ha="center", va="center", fontsize=9, bbox=box, zorder=2)
    axes.set(xlim=(0, 1), ylim=(-0.5, len(rows) - 0.5))
    axes.set_axis_off()
    return figure


if __name__ == "__main__":
    draw(lower_rooms()).savefig(Path(__file__).with_suffix(".png"), dpi=110)
