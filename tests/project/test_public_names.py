"""Names that the public modules show."""

import importlib

import bitdrop
import pytest

from tests.helpers.support import run_python

NAMES = [
    "bitdrop",
    "bitdrop.dask",
    "bitdrop.jax",
    "bitdrop.torch",
    "bitdrop.torch.functional",
    "bitdrop.torch.modules",
]


@pytest.mark.parametrize("name", NAMES)
def test_tab_completion_shows_public_names_only(name: str) -> None:
    needed = {"bitdrop.dask": "dask.array", "bitdrop.jax": "jax"}
    pytest.importorskip(needed.get(name, "torch" if "torch" in name else "bitdrop"))
    module = importlib.import_module(name)
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)


def test_private_names_remain_importable() -> None:
    assert bitdrop._core.MASK_FORMAT == bitdrop.MASK_FORMAT


def test_import_leaves_slow_modules_for_later() -> None:
    slow = {"dask", "importlib.metadata", "inspect", "jax", "numpy.random", "pathlib", "torch"}
    process = run_python(
        "-c", "import numpy, sys; old = {*sys.modules}; import bitdrop; print(*{*sys.modules} - old)"
    )
    assert "bitdrop._core" in process.stdout.split()
    assert not slow & {*process.stdout.split()}


@pytest.mark.parametrize(("library", "said"), [("dask", "dask"), ("jax", "JAX"), ("torch", "PyTorch")])
def test_front_end_without_its_library_names_the_extra(library: str, said: str) -> None:
    process = run_python("-c", f"import sys; sys.modules['{library}'] = None; import bitdrop.{library}")
    assert process.returncode == 1
    expected = f"ImportError: bitdrop.{library} needs {said}: pip install '.[{library}]' in a clone.\n"
    assert process.stderr.endswith(expected)


@pytest.mark.parametrize("name", ["dask", "jax", "torch"])
def test_front_end_that_was_not_imported_is_named_by_the_error(name: str) -> None:
    process = run_python("-c", f"import bitdrop; bitdrop.{name}")
    assert (
        f"AttributeError: bitdrop.{name} must be imported by its name: import bitdrop.{name}."
        in process.stderr
    )


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Dropuot'"):
        _ = bitdrop.Dropuot
