"""Settings and facts of the process."""

import runpy
from pathlib import Path
from typing import Any

import bitdrop
import numpy as np
import pytest
from bitdrop import _core, _settings

from tests.helpers.bad_values import BAD_WORDS
from tests.helpers.support import run_python

FACTS = {
    *("bitdrop", "mask_format", "instruction_set", "instruction_sets_available", "threads", "cpus"),
    *(
        "last_level_cache",
        "non_temporal_threshold",
        "buffer_limit",
        "compiler",
        "python",
        "numpy",
        "platform",
    ),
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


def test_module_run_as_script_prints_settings(
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


@pytest.mark.parametrize("bad", [*BAD_WORDS.values(), (0, ValueError), (1025, ValueError)], ids=str)
def test_bad_settings_are_errors_and_change_nothing(bad: tuple[Any, type[Exception]]) -> None:
    value, error = bad
    before = bitdrop.get_num_threads(), _core.get_buffer_limit()
    with pytest.raises(error, match=r"^n must be"):
        bitdrop.set_num_threads(value)
    if value not in (0, 1025):
        with pytest.raises(error, match=r"^nbytes must be"):
            bitdrop.set_buffer_limit(value)
    for mode in BAD_MODES:
        with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts', but got"):
            bitdrop.show_config(mode)
    assert (bitdrop.get_num_threads(), _core.get_buffer_limit()) == before


BAD_MODES: list[Any] = ["dict", "", None, 1]
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
    assert _settings._cgroup_cpus(tmp_path) == cpus
