"""The release workflow and the conda recipe: well-formed, and in step with pyproject.toml."""

import re
import tomllib
from typing import Any

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.support import run_python

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
VARIANTS = """
python: ["3.11"]
cxx_compiler: ["gxx"]
cxx_compiler_version: ["14"]
c_stdlib: ["sysroot"]
c_stdlib_version: ["2.17"]
"""


def run(*arguments: str) -> str:
    process = run_python("-m", *arguments)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def spaced(requirement: str) -> str:
    """Return a requirement of pip as conda writes it."""
    return re.sub(r"(?<=\w)(?=[<>=])", " ", requirement)


def test_release_workflow_fits_schema_of_workflows() -> None:
    pytest.importorskip("check_jsonschema")
    run("check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW))


@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
def test_release_builds_wheels_for_every_supported_python(system: str) -> None:
    pytest.importorskip("cibuildwheel")
    wheels = run("cibuildwheel", "--print-build-identifiers", "--platform", system, "--archs", "auto64", ".")
    versions = {identifier.split("-")[0] for identifier in wheels.split()}
    assert {"cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t"} == versions


def test_conda_recipe_has_version_and_requirements_of_project() -> None:
    rattler_build = pytest.importorskip("rattler_build")
    recipe = rattler_build.Stage0Recipe.from_yaml(
        (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    )
    (variant,) = recipe.render(rattler_build.VariantConfig.from_yaml(VARIANTS))
    project, requirements = PROJECT["project"], variant.recipe.requirements
    assert (variant.recipe.package.name, variant.recipe.package.version) == (
        project["name"],
        project["version"],
    )
    assert sorted(requirements.run) == sorted(["python", *map(spaced, project["dependencies"])])
    assert set(map(spaced, PROJECT["build-system"]["requires"])) <= set(requirements.host)
