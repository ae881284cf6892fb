"""Environment variables, read at import: threads, instruction set, buffer limit."""

import pytest
from bitdrop import _core, _settings

from tests.helpers.support import run_python

PRINT_THREADS = "import bitdrop; print(bitdrop.get_num_threads())"


def test_threads_default_to_usable_cpus() -> None:
    assert run_python("-c", PRINT_THREADS).stdout.strip() == str(_settings.usable_cpus())
    process = run_python("-c", PRINT_THREADS, BITDROP_NUM_THREADS="")
    assert process.stdout.strip() == str(_settings.usable_cpus())


def test_threads_in_environment_are_used() -> None:
    assert run_python("-c", PRINT_THREADS, BITDROP_NUM_THREADS="3").stdout.strip() == "3"


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


PRINT_ISA = "from bitdrop import _core; print(_core.get_isa())"


def test_best_isa_is_used_by_default() -> None:
    assert run_python("-c", PRINT_ISA).stdout.strip() == _core.isas()[0]
    assert run_python("-c", PRINT_ISA, BITDROP_ISA="").stdout.strip() == _core.isas()[0]


def test_isa_in_environment_is_used(isa: str) -> None:
    assert run_python("-c", PRINT_ISA, BITDROP_ISA=isa).stdout.strip() == isa


def test_scalar_is_last_of_isas() -> None:
    assert _core.isas()[-1] == "scalar"


def test_unknown_isa_is_refused_by_core() -> None:
    with pytest.raises(ValueError, match="no such instruction set"):
        _core.set_isa("mmx")
    with pytest.raises(ValueError, match="no such instruction set"):
        _core.testing.bits(((1, 2), 3, 0.5), 0, 64, isa="mmx")
