"""Sphinx's settings for the documents: `sphinx-build -EW docs build/docs`.

The build executes the cells of the tutorial, and loads nothing from the network. Without PyTorch or JAX there
is no reference of their front-ends, and their pages of the tutorial are shown without output.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import bitdrop
import jupytext
from sphinx.application import Sphinx
from sphinx.util import logging

project = "bitdrop"
author = "the bitdrop developers"
copyright = "the bitdrop developers"
version = release = bitdrop.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_templates", "notebooks", "pictures"]
templates_path = ["_templates"]

# Markdown
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # the anchors of GitHub, where the same files are read
myst_url_schemes = ("https", "http", "mailto")

# Tutorial
nb_execution_mode = "cache"  # by the content of the cells, in the build directory
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
# The matrices of the tutorial are small: a second BLAS thread costs more than it saves.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
TUTORIALS = ("numpy", "pytorch", "jax")

# Reference
autodoc_typehints = "none"  # the parameters' descriptions say it in words
autosummary_generate = ["reference/numpy.md", "reference/dask.md"]
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "code"  # `name` in docstrings

# Front-ends whose library is optional, by their page: module, name, and what their tutorial needs besides
OPTIONAL = {"pytorch": ("torch", "PyTorch", ()), "jax": ("jax", "JAX", ("equinox", "flax", "optax"))}
MISSING = {page: (module, name) for page, (module, name, _) in OPTIONAL.items() if find_spec(module) is None}
autosummary_generate += [f"reference/{page}.md" for page in OPTIONAL if page not in MISSING]
exclude_patterns += [f"reference/generated/bitdrop.{module}*" for module, _ in MISSING.values()]
nb_execution_excludepatterns = [
    f"tutorial/{page}.md"
    for page, (module, _, others) in OPTIONAL.items()
    if any(find_spec(library) is None for library in (module, *others))
]
WITHOUT_LIBRARY = """# {name}: `bitdrop.{module}`

{name} was not installed when this site was built, so the reference of `bitdrop.{module}` is missing here.
Install it, `pip install '.[{module}]'`, and build again.
"""

# Theme
html_theme = "pydata_sphinx_theme"
html_title = f"bitdrop {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": []}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True


def write_notebooks(app: Sphinx) -> None:
    """Write the pages of the tutorial as notebooks, for readers to download and run."""
    folder = Path(app.srcdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    for name in TUTORIALS:
        notebook = jupytext.read(Path(app.srcdir) / f"tutorial/{name}.md")
        jupytext.write(notebook, folder / f"{name}.ipynb")


def replace_without_library(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the reference of a front-end by a sentence if its library is not installed."""
    folder, _, page = docname.partition("/")
    if folder == "reference" and page in MISSING:
        module, name = MISSING[page]
        source[0] = WITHOUT_LIBRARY.format(module=module, name=name)


def report_missing(app: Sphinx) -> None:
    """Say which pages are incomplete without a library."""
    for module, name in MISSING.values():
        message = f"{name} is not installed: no reference of bitdrop.{module}; its tutorial is not run"
        logging.getLogger(__name__).info(message)


def setup(app: Sphinx) -> None:
    """Connect the steps of this file."""
    app.connect("builder-inited", write_notebooks)
    app.connect("builder-inited", report_missing)
    app.connect("source-read", replace_without_library)
