"""The table of kinds and properties in docs/reference/kinds.md, made of the lists that the tests run over.

``python -m tests.contract.table`` writes the document anew.
"""

from tests.contract.kinds import KINDS, Kind
from tests.helpers.paths import ROOT

DOCUMENT = ROOT / "docs" / "reference" / "kinds.md"
BEGIN, END = "<!-- made by tests/contract/table.py -->", "<!-- end -->"

PROPERTIES: dict[str, str] = {
    "complex": "complex numbers",
    "noise_shape": "`noise_shape=`",
    "shard": "`shard=`",
    "recompute": "`recompute=`",
}
"""Properties that some kinds lack."""

WHY: dict[str, str] = {
    "complex": "a function of real numbers",
    "noise_shape": "the class decides which elements share a draw",
    "shard": "blocks cross parts",
    "recompute": "which elements are active depends on x",
}

OF_ALL = [
    "one result, bit for bit, for every dtype, memory layout, thread count and instruction set",
    "the record repeats the pass: `apply` (of a fused pass without bias and residual)",
    "gradients by the record, `backward`, are the derivatives",
    "`part` of a record, and a part of a part, are the slices of the whole, also of the gradients",
    "`out=` and `inplace=True`; an input may be the output",
    "`layer.locked()`, `state`, `reset`, `train`, `eval`",
    "copies and pickles of layers and records; equality and hash of records",
    "an evaluated `repr` of a layer gives one with its arguments",
    "empty arrays, p at 0, near 0 and at 1 (of Gaussian dropout near 1), inference",
    "a bad argument is an error of one sentence, and leaves everything as it was",
]


def name_of(kind: Kind) -> str:
    """Return the call that makes a layer of a kind."""
    options = {name: value for name, value in kind.options.items() if name != "block_size"}
    arguments = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"`{kind.layer.__name__}({arguments})`" if options else f"`{kind.layer.__name__}`"


def cell(kind: Kind, what: str) -> str:
    """Return a cell: yes, or the error and its reason."""
    return f"{kind.lacks[what][0].__name__}: {WHY[what]}" if what in kind.lacks else "yes"


def table() -> str:
    """Return the list of what all kinds have, and the table of the rest."""
    kinds = [kind for kind in KINDS.values() if "noise_shape" not in kind.options]
    rows = {name_of(kind): kind for kind in reversed(kinds)}
    lines = [*(f"- {what}" for what in OF_ALL), ""]
    lines += [" | ".join(["| kind", *PROPERTIES.values(), ""]).rstrip(), "|---" * (1 + len(PROPERTIES)) + "|"]
    for name, kind in reversed(rows.items()):
        lines.append(f"| {name} | {' | '.join(cell(kind, what) for what in PROPERTIES)} |")
    return "\n".join(lines)


def document(text: str) -> str:
    """Return a document with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
