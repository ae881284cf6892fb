"""Documents: examples and links."""

import doctest
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.support import run_python

DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "generated" not in path.parts),
]
WITH_EXAMPLES = [path for path in DOCUMENTS if ">>> " in path.read_text(encoding="utf-8")]

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```.*$", re.MULTILINE)
PROGRAM = re.compile(r"^```python\n(?!>>>)(.*?)^```", re.MULTILINE | re.DOTALL)
IMPORTED_EXTRA = re.compile(r"^>>> import .*\b(dask|jax|torch)\b", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a document, by the rules of GitHub."""
    headings = HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name_of)
def test_examples_print_output_in_document(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))  # doctest would read fences as output
    for extra in IMPORTED_EXTRA.findall(text):
        pytest.importorskip(extra)
    examples = doctest.DocTestParser().get_doctest(text, {}, name_of(path), str(path), 0)
    assert doctest.DocTestRunner().run(examples).failed == 0, "see the output above"


PROGRAMS = [
    pytest.param(program, id=f"{name_of(path)}-{number}")
    for path in DOCUMENTS
    for number, program in enumerate(PROGRAM.findall(path.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_in_documents_run(program: str) -> None:
    for library in set(re.findall(r"\b(?:dask|jax|torch|equinox|flax)\b", program)):
        pytest.importorskip(library)
    process = run_python("-c", program)
    assert process.returncode == 0, process.stderr


def test_programs_include_those_of_all_libraries() -> None:
    found = Counter(str(program.id).rpartition("-")[0] for program in PROGRAMS)
    assert found.items() >= {
        ("README.md", 2),
        ("docs/how-to/jax.md", 6),
        ("docs/how-to/parts-and-dask.md", 1),
        ("docs/how-to/pytorch.md", 3),
        ("docs/how-to/reproducible-runs.md", 1),
    }


def test_documents_with_examples_include_main_ones() -> None:
    assert {"README.md", "docs/explanation/dropout.md", "docs/reference/mask-format.md"} <= set(
        map(name_of, WITH_EXAMPLES)
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_to_existing_files_and_headings(path: Path) -> None:
    broken = []
    for link in LINK.findall(CODE.sub("", path.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken
