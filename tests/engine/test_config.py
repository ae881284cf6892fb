"""Settings and facts of the process, and whether stubs and docstrings are what they should be."""

import ast
import doctest
import inspect
import runpy
from pathlib import Path
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _config, _core

from tests.helpers.support import run_python

FACTS = {
    *("bitdrop", "mask_format", "instruction_set", "instruction_sets_available", "threads", "cpus"),
    *("last_level_cache", "streaming_threshold", "buffer_limit", "compiler", "python", "numpy", "platform"),
}


def config() -> dict[str, Any]:
    facts = bitdrop.show_config("dicts")
    assert facts is not None
    return facts


def test_config_has_facts_for_bug_report(settings_restored: None) -> None:
    facts = config()
    assert set(facts) >= FACTS
    assert facts["bitdrop"] == bitdrop.__version__
    assert facts["mask_format"] == bitdrop.MASK_FORMAT
    assert facts["numpy"] == np.__version__
    assert facts["instruction_set"] in facts["instruction_sets_available"]
    for isa in _core.isas():
        _core.set_isa(isa)
        assert config()["instruction_set"] == isa


def test_show_config_prints_all_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert bitdrop.show_config() is None
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(printed) == set(config())
    assert printed["instruction_sets_available"] == ", ".join(_core.isas())


def test_module_run_as_script_prints_config(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["bitdrop"])
    runpy.run_module("bitdrop", run_name="__main__")
    shown = capsys.readouterr().out
    process = run_python("-m", "bitdrop")
    assert process.returncode == 0
    assert "instruction_set " in process.stdout
    names = [line.split()[0] for line in process.stdout.splitlines()]
    assert names == [line.split()[0] for line in shown.splitlines()]


@pytest.mark.parametrize("n", [1, 2, 1024, np.int64(3)])
def test_set_num_threads_changes_number_of_threads(n: int, settings_restored: None) -> None:
    bitdrop.set_num_threads(n)
    assert bitdrop.get_num_threads() == n
    assert config()["threads"] == n


def test_initial_threads_are_usable_cpus_or_value_in_environment() -> None:
    code = "import bitdrop; print(bitdrop.get_num_threads())"
    assert run_python("-c", code).stdout.strip() == str(_config.usable_cpus())
    assert run_python("-c", code, BITDROP_NUM_THREADS="3").stdout.strip() == "3"
    assert run_python("-c", code, BITDROP_NUM_THREADS="").stdout.strip() == str(_config.usable_cpus())


@pytest.mark.parametrize("threads", ["0", "-1", "1025", "two", "1.5", " ", "9" * 30, "²", "0x2"])
def test_bad_threads_in_environment_fail_import(threads: str) -> None:
    process = run_python("-c", "import bitdrop", BITDROP_NUM_THREADS=threads)
    assert process.returncode == 1
    expected = f"ImportError: BITDROP_NUM_THREADS must be an integer from 1 to 1024, but it is {threads!r}."
    assert process.stderr.splitlines()[-1] == expected


@pytest.mark.parametrize("limit", ["-1", "1e6", "64M", str(2**64)])
def test_bad_buffer_limit_in_environment_fails_import(limit: str) -> None:
    process = run_python("-c", "import bitdrop", BITDROP_BUFFER_LIMIT=limit)
    assert process.returncode == 1
    error = process.stderr.splitlines()[-1]
    assert error.startswith("ImportError: BITDROP_BUFFER_LIMIT must be an integer from 0 to ")
    assert error.endswith(f", but it is {limit!r}.")


def test_buffer_limit_in_environment_is_used() -> None:
    code = "import bitdrop; print(bitdrop.show_config('dicts')['buffer_limit'])"
    assert run_python("-c", code, BITDROP_BUFFER_LIMIT="12345").stdout.strip() == "12345"
    assert run_python("-c", code, BITDROP_BUFFER_LIMIT="0").stdout.strip() == "0"


@pytest.mark.parametrize("isa", ["neon", "avx1024", "AVX2", "scalar "])
def test_unknown_isa_in_environment_fails_import(isa: str) -> None:
    if isa in _core.isas():
        pytest.skip("this machine has it")
    process = run_python("-c", "import bitdrop", BITDROP_ISA=isa)
    assert process.returncode == 1
    error = process.stderr.splitlines()[-1]
    assert error.startswith(f"ImportError: BITDROP_ISA is {isa!r}, but this machine can run: ")
    assert ", ".join(_core.isas()) in error


def test_best_isa_is_used_unless_environment_names_another(isa: str) -> None:
    code = "from bitdrop import _core; print(_core.get_isa())"
    assert run_python("-c", code).stdout.strip() == _core.isas()[0]
    assert run_python("-c", code, BITDROP_ISA="").stdout.strip() == _core.isas()[0]
    assert run_python("-c", code, BITDROP_ISA=isa).stdout.strip() == isa


def test_scalar_is_last_of_isas() -> None:
    assert _core.isas()[-1] == "scalar"


def test_unknown_isa_is_refused_by_core() -> None:
    with pytest.raises(ValueError, match="no such instruction set"):
        _core.set_isa("mmx")
    with pytest.raises(ValueError, match="no such instruction set"):
        _core.bits(1, 2, 3, 0.5, 0, 64, isa="mmx")


CGROUPS: list[tuple[dict[str, str], float]] = [
    ({"cpu.max": "150000 100000\n"}, 1.5),
    ({"cpu.max": "max 100000\n"}, float("inf")),
    ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
    ({"cpu.max": "nonsense"}, float("inf")),
    ({}, float("inf")),
]


@pytest.mark.parametrize(("files", "cpus"), CGROUPS)
def test_cpu_share_of_control_group_is_read(files: dict[str, str], cpus: float, tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert _config._cgroup_cpus(tmp_path) == cpus


def parameters(function: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Return the parameters' names, and which of them have defaults."""
    arguments = function.args.args
    required = len(arguments) - len(function.args.defaults)
    return [(argument.arg, position >= required) for position, argument in enumerate(arguments)]


def signature_of(function: Any) -> ast.FunctionDef:
    """Read the signature that pybind11 writes into the first line of a docstring."""
    line = function.__doc__.splitlines()[0]
    definition = ast.parse(f"def {line}: ...").body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def test_stubs_match_core_module() -> None:
    functions, others = {}, set()
    for node in ast.parse((Path(bitdrop.__file__).parent / "_core.pyi").read_text()).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not node.target.id.startswith("_"):  # a name for types
                others.add(node.target.id)
        elif isinstance(node, ast.ClassDef):
            others.add(node.name)
            members = {target.id for line in node.body for target in getattr(line, "targets", [])}
            assert members == set(getattr(_core, node.name).__members__)
    assert {*functions, *others} == {name for name in dir(_core) if not name.startswith("__")}
    for name, function in functions.items():
        assert parameters(function) == parameters(signature_of(getattr(_core, name))), name


def test_package_is_typed() -> None:
    assert (Path(bitdrop.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("name", [name for name in bitdrop.__all__ if callable(getattr(bitdrop, name))])
def test_public_name_has_docstring_in_numpy_style(name: str) -> None:
    public = getattr(bitdrop, name)
    lines = (public.__doc__ or "").splitlines()
    assert lines
    assert lines[0].endswith(".")
    takes_something = list(inspect.signature(public).parameters)
    assert ("Parameters" in public.__doc__) == bool(takes_something)


@pytest.mark.parametrize("public", [bitdrop, bitdrop.dropout, bitdrop.Dropout, bitdrop.Mask])
def test_docstring_of_main_name_has_example(public: Any) -> None:
    assert any(test.examples for test in doctest.DocTestFinder(recurse=False).find(public, "it"))
