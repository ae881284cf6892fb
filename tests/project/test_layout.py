"""Layout of the tests: the suite starts in any folder, and its folders hide no library."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

TESTS = ROOT / "tests"
TEST_FILE = TESTS / "engine" / "test_stubs.py"


@pytest.mark.parametrize(
    "folder",
    [ROOT, TESTS, TESTS / "numpy", Path(ROOT.anchor)],
    ids=["root of repository", "tests", "tests/numpy", "/"],
)
def test_suite_starts_in_any_folder(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TEST_FILE)]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert process.returncode == 0, process.stdout + process.stderr


def test_every_folder_of_python_tests_is_a_package() -> None:
    folders = {path.parent for path in TESTS.rglob("test_*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
