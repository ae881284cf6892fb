"""Scripts that draw the pictures of the documents."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.paths import EXAMPLES, ROOT
from tests.helpers.support import run_python

SCRIPTS = sorted((ROOT / "docs" / "pictures").glob("*.py"))

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("matplotlib", "threadpoolctl")),
    reason="needs pip install '.[examples]'",
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_draws_picture_beside_itself(script: Path, tmp_path: Path) -> None:
    copy = shutil.copy(script, tmp_path)
    process = run_python(str(copy), PYTHONPATH=str(EXAMPLES))
    assert process.returncode == 0, process.stderr
    assert Path(copy).with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert script.with_suffix(".png").exists()


def test_checked_in_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "pictures").glob("*.png")}
    assert len(sizes) >= 8
    assert max(sizes.values()) < 250_000, sizes
