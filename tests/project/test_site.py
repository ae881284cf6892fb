"""The built site: warnings, links, files that it loads, names, questions, searches, notebooks.

Slow, because the build runs the tutorial: `pytest -m slow tests/project/test_site.py`, with the extra `docs`.
"""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest

from tests.helpers.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("sphinx", "myst_nb", "numpydoc", "pydata_sphinx_theme")),
        reason="needs pip install '.[docs]'",
    ),
]

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Elements whose address a browser loads without being asked to."""

MODULES = {
    "bitdrop": None,
    "bitdrop.dask": "dask",
    "bitdrop.jax": "jax",
    "bitdrop.torch": "torch",
    "bitdrop.torch.functional": "torch",
}

QUESTIONS = {
    "save and resume": "how-to/save-and-resume",
    "seeds, forks and workers": "how-to/reproducible-runs",
    "threads and oversubscription": "how-to/threads",
    "memory and large results": "how-to/memory",
    "shared and locked masks": "how-to/shared-masks",
    "shards and dask": "how-to/parts-and-dask",
    "Monte Carlo dropout": "how-to/monte-carlo",
    "fused passes": "how-to/fused-passes",
    "thinned networks": "how-to/thinned-training",
    "an existing PyTorch model": "how-to/pytorch",
    "Equinox and Flax": "how-to/jax",
    "environment variables": "reference/settings",
    "a bug report": "how-to/bug-reports",
}

SEARCHES = {  # words, of which five letters count because the index has stems, and a page with them
    "BITDROP_BUFFER_LIMIT": "reference/settings",
    "oversubscription": "how-to/threads",
    "resume": "how-to/save-and-resume",
    "fork": "how-to/reproducible-runs",
    "uncertainty": "how-to/monte-carlo",
    "xorshift128": "reference/mask-format",
    "PractRand": "evidence/quality",
}


class PageParser(HTMLParser):
    """Anchors, links and loaded files of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what an element defines and refers to."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        address = values.get(LOADING.get(tag, ""))
        if address and values.get("rel") not in ("canonical", "next", "prev", "index", "search", "author"):
            self.loaded.append(address)


@dataclass
class Site:
    """The built site, parsed."""

    folder: Path
    output: str
    pages: dict[Path, PageParser] = field(default_factory=dict)

    def parse(self) -> None:
        """Parse all pages."""
        for path in sorted(self.folder.rglob("*.html")):
            if "_static" in path.parts:  # a template of the theme
                continue
            parser = PageParser()
            parser.feed(path.read_text(encoding="utf-8"))
            self.pages[path.resolve()] = parser

    def page(self, name: str) -> Path:
        """Return the file of a page."""
        return (self.folder / f"{name}.html").resolve()

    def targets(self, path: Path) -> list[tuple[str, Path, str]]:
        """Return link, file and anchor of all links of a page that stay within the site."""
        found = []
        for link in self.pages[path].links:
            if not urlparse(link).scheme:
                file, anchor = urldefrag(link)
                target = (path.parent / unquote(file)).resolve() if file else path
                found.append((link, target, unquote(anchor)))
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(folder)]
    process = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900, env=os.environ
    )
    assert process.returncode == 0, process.stdout + process.stderr
    built = Site(folder, process.stdout + process.stderr)
    built.parse()
    return built


def test_site_builds_without_warning(site: Site) -> None:
    assert "WARNING: " not in site.output.replace("[IPKernelApp] WARNING", "")
    assert len(site.pages) > 40


def test_internal_links_lead_to_pages_and_anchors(site: Site) -> None:
    broken = []
    followed = 0
    for path in site.pages:
        for link, target, anchor in site.targets(path):
            followed += 1
            if not target.exists() or (anchor and anchor not in site.pages[target].anchors):
                broken.append((path.relative_to(site.folder).as_posix(), link))
    assert not broken
    assert followed > 1000


def test_pages_load_existing_files_of_the_site_alone(site: Site) -> None:
    wrong = []
    for path, page in site.pages.items():
        for address in page.loaded:
            parts = urlparse(address)
            if parts.scheme == "data":
                continue
            local = (path.parent / unquote(parts.path)).resolve()
            if parts.scheme or parts.netloc or not local.exists():
                wrong.append((path.name, address))
    assert not wrong


def test_style_sheets_load_nothing_from_the_network(site: Site) -> None:
    wrong = []
    for path in site.folder.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        wrong += [
            (path.name, found) for found in re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", text)
        ]
    assert not wrong


def test_images_have_alternative_texts() -> None:
    without = []
    for path in (ROOT / "docs").rglob("*.md"):
        without += [(path.name, link) for link in re.findall(r"!\[\s*\]\(([^)]*)\)", path.read_text("utf-8"))]
    assert not without


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_is_answered_within_two_clicks(site: Site, question: str) -> None:
    start, clicks = site.page("index"), {site.page("index"): 0}
    queue = deque([start])
    while queue:
        path = queue.popleft()
        for _, target, _ in site.targets(path):
            if target in site.pages and target not in clicks:
                clicks[target] = clicks[path] + 1
                queue.append(target)
    page = site.page(QUESTIONS[question])
    assert page in clicks, "no way leads there"
    assert clicks[page] <= 2


@pytest.mark.parametrize("words", SEARCHES)
def test_search_index_finds_page(site: Site, words: str) -> None:
    text = (site.folder / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").rstrip(";)\n"))
    found: set[str] = set()
    for kind in ("terms", "titleterms"):
        for term, numbers in index[kind].items():
            if term.lower().startswith(words.lower()[:5]):
                found |= {index["docnames"][n] for n in (numbers if isinstance(numbers, list) else [numbers])}
    assert SEARCHES[words] in found


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_reference_page_with_example(site: Site, module: str) -> None:
    if (needed := MODULES[module]) is not None:
        pytest.importorskip(needed)
    public = importlib.import_module(module)
    anchors = {anchor: path for path, page in site.pages.items() for anchor in page.anchors}
    for name in public.__all__:
        value = getattr(public, name)
        if inspect.ismodule(value):
            continue
        path = anchors.get(f"{module}.{name}")
        assert path is not None, f"{module}.{name} has no page"
        text = path.read_text(encoding="utf-8")
        assert "&gt;&gt;&gt; " in text, f"{path.name} has no example"


@pytest.mark.parametrize("name", ["numpy", "pytorch", "jax"])
def test_notebook_runs(site: Site, name: str) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    for library in {"pytorch": ["torch"], "jax": ["jax", "equinox", "flax", "optax"]}.get(name, []):
        pytest.importorskip(library)
    (path,) = site.folder.glob(f"_downloads/*/{name}.ipynb")
    notebook = nbformat.read(path, as_version=4)
    executed = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    printed = "".join(
        output["text"] for cell in executed.cells for output in cell.get("outputs", ()) if "text" in output
    )
    assert "% of the test images" in printed
