"""Benchmarks: timing, ratios, checks of competitors, targets, scripts."""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bitdrop import Dropout

from tests.helpers.paths import BENCHMARKS

sys.path.append(str(BENCHMARKS))
timing = importlib.import_module("timing")
competitors = importlib.import_module("competitors")
interface = importlib.import_module("competitors.interface")
targets = importlib.import_module("targets")
processes = importlib.import_module("processes")


class FakeTimer:
    """Side with a known time per call and a log of its calls."""

    def __init__(self, name: str, seconds: float, log: list[str]) -> None:
        self.name, self.seconds, self.log = name, seconds, log

    def timeit(self, number: int) -> float:
        self.log.append(self.name)
        return number * self.seconds

    def repeat(self, repeat: int, number: int) -> list[float]:
        return [self.timeit(number) for _ in range(repeat)]


def test_ratio_is_median_of_quotients_within_rounds() -> None:
    places = [
        {"copy": FakeTimer("copy", 0.1, []), "ours": FakeTimer("ours", seconds, [])}
        for seconds in (0.1, 0.2, 0.6)
    ]
    timings = timing.alternate(places, "copy", seconds=0)
    assert timings["copy"].ratio == 1
    assert timings["ours"].ratio == pytest.approx(2)
    assert timings["ours"].by_offset == pytest.approx((1, 2, 6))
    assert timings["ours"].seconds == pytest.approx(0.2)
    assert timings["ours"].rounds == 3


def test_sides_alternate_forwards_and_backwards() -> None:
    log: list[str] = []
    sides = {name: FakeTimer(name, 1.0, log) for name in "abc"}
    timing.alternate([sides], "a", seconds=0.01)
    assert "".join(log).startswith("aaabbbccc" + "abccba")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_buffers_have_given_offsets_from_page(dtype: type) -> None:
    pairs = timing.buffers(1000, dtype)
    found = [(x.ctypes.data % 4096, out.ctypes.data % 4096) for x, out in pairs]
    assert tuple(found) == timing.OFFSETS
    for x, out in pairs:
        assert x.dtype == out.dtype == dtype
        assert x.size == out.size == 1000
        assert x.min() >= 1  # a zero would look like a dropped element
        assert x.max() <= 2


def steps_of(
    p: float = 0.5,
    factor: float = 1.0,
    backward: Callable[[Any], Any] = lambda dx: dx,
    new_mask: bool = True,
) -> tuple[Any, Any]:
    x = timing.buffers(10_000)[0][0]
    layer = Dropout(p, rng=0)
    layer(x)

    def forward() -> Any:
        y = layer(x) if new_mask else layer.backward(x)
        return y * np.float32(factor)

    return interface.Steps(forward, lambda: backward(layer.backward(x)), 2.0), x


def test_correct_dropout_passes_check() -> None:
    steps, x = steps_of()
    interface.check(steps, x, 0.5)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"p": 0.6}, "share"),
        ({"factor": 1.01}, "multiplied"),
        ({"backward": lambda dx: dx[::-1]}, "backward"),
        ({"backward": lambda dx: dx * np.float32(1.01)}, "backward"),
        ({"new_mask": False}, "same mask"),
    ],
    ids=["rate", "scale", "other mask", "scale of the gradient", "same mask in every call"],
)
def test_faulty_dropout_fails_check(fault: dict[str, Any], message: str) -> None:
    steps, x = steps_of(**fault)
    with pytest.raises(interface.WrongAnswerError, match=message):
        interface.check(steps, x, 0.5)


@pytest.mark.usefixtures("settings_restored")
@pytest.mark.parametrize(
    "name", ["bitdrop", "bitdrop-alloc", "bitdrop-recompute", "numpy-textbook", "numpy-tuned"]
)
@pytest.mark.parametrize("p", [0.1, 0.9])
def test_competitors_that_need_only_numpy_pass_check(name: str, p: float) -> None:
    x, out = timing.buffers(10_000)[1]
    steps = competitors.COMPETITORS[name].make(x, out, p, 1)
    interface.check(steps, x, p)


def result_of(ratio: float, non_temporal: float | None = None) -> Any:
    """Return a result of forward at 64 Mi elements, with a target of 0.65 copies."""

    def timing_of(copies: float) -> Any:
        return timing.Timing(1.0, copies, copies, copies, (copies,), 1)

    target = next(t for t in targets.TARGETS if (t.step, t.p, t.size) == ("forward", 0.5, targets.HUGE))
    return targets.Result(target, timing_of(ratio), timing_of(1), non_temporal and timing_of(non_temporal))


@pytest.mark.parametrize(
    ("ratio", "non_temporal", "reached"),
    [
        (0.65, None, True),
        (0.66, None, False),
        (0.65, 0.6, True),
        (0.66, 0.6, False),  # np.copyto takes 1.67 non-temporal copies: it uses ordinary stores
        (1.04, 0.95, True),  # np.copyto takes 1.05 non-temporal copies, the step 1.09
        (1.06, 0.95, False),
    ],
)
def test_target_is_judged_by_non_temporal_copy_if_copyto_uses_it(
    ratio: float, non_temporal: float | None, reached: bool
) -> None:
    assert result_of(ratio, non_temporal).reached is reached


@pytest.mark.parametrize(("ratio", "status"), [(0.5, 0), (0.9, 1)])
def test_guard_fails_if_ratio_is_missed(
    ratio: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    guard = importlib.import_module("guard")
    monkeypatch.setattr(targets, "measure", lambda *arguments: [result_of(ratio)])
    assert guard.main([]) == status


def test_missed_target_is_measured_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "measure", lambda chosen, *_: [result_of(0.6) for _ in chosen])
    assert [result.timing.ratio for result in targets.measure_again([result_of(0.9)], 1, 1.0)] == [0.6]
    assert [result.timing.ratio for result in targets.measure_again([result_of(0.5)], 1, 1.0)] == [0.5]


def run_script(name: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / name, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compare_writes_table_json_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    pytest.importorskip("matplotlib")
    output = run_script(
        "compare.py",
        *("--quick", "--seconds", "0.1", "--sizes", "1024", "4096", "--output-dir", str(tmp_path)),
        *("--competitors", "bitdrop", "numpy-textbook", "libxsmm"),
        LIBXSMM_LIBRARY=str(tmp_path / "missing.so"),
    )
    assert "libxsmm: left out, " in output
    assert "| NumPy, textbook" in output
    content = json.loads((tmp_path / "compare-1.json").read_text())
    assert {"processor", "NumPy", "bitdrop", "numpy-textbook"} <= set(content["facts"])
    found = {(cell["competitor"], cell["size"], cell["step"]) for cell in content["cells"]}
    assert found == {
        (competitor, size, step)
        for competitor in ("bitdrop", "numpy-textbook")
        for size in (1024, 4096)
        for step in ("forward", "backward", "both")
    }
    assert all(cell["timing"]["ratio"] > 0 for cell in content["cells"])
    assert (tmp_path / "compare-1.png").read_bytes().startswith(b"\x89PNG")


def test_scaling_prints_requested_parts() -> None:
    pytest.importorskip("rich")
    pytest.importorskip("ml_dtypes")
    parts = ("--parts", "threads", "allocation", "memory", "--threads", "2")
    output = run_script("scaling.py", *parts, "--seconds", "0.02", "--sizes", "1024", "1048576")
    memory = [line for line in output.splitlines() if "bits held" in line or "recompute=True" in line]
    held = [float(line.split("|")[3]) for line in memory]
    assert held == pytest.approx([1, 0], abs=0.02)


def test_calls_are_timed_warm_and_cold() -> None:
    pytest.importorskip("rich")
    output = run_script("calls.py", "--seconds", "0.01", "--sizes", "1024", "2048")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines() if "|" in line]
    of_copy = [row for row in rows if row[0] == "np.copyto(out, x)"]
    assert [row[5] for row in of_copy] == ["1.00", "1.00"]  # the unit of cold calls
    for kind in ("Dropout", "AlphaDropout", "GaussianDropout", "Zoneout", "FusedDropout", "DropBlock2d"):
        timed = [row for row in rows if row[0].startswith(f"{kind}.forward")]
        assert [bool(row[3]) for row in timed] == [True, False]  # goals are set for 1,024 elements
        assert all(float(row[place]) > 0 for row in timed for place in (1, 2, 4, 5))


def test_cold_calls_follow_other_work_and_steps_of_a_side_add_up() -> None:
    log: list[str] = []

    def step(name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            log.append(name)
            time.sleep(seconds)

        return call

    sides = {"a": [step("a1", 0.002), step("a2", 0.003)], "b": [step("b", 0.001)]}
    times = timing.alternate_cold(sides, step("work", 0.02), seconds=0)
    assert log == ["work", "a1", "work", "a2", "work", "b", "work", "b", "work", "a1", "work", "a2"]
    assert 0.005 <= times["a"] < 0.02
    assert 0.001 <= times["b"] < 0.02


def test_sides_take_turns_and_are_compared_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    clock = iter(range(1000))
    faults = iter(range(0, 3000, 3))
    monkeypatch.setattr(processes, "_page_faults", lambda: next(faults))

    def drop() -> None:
        log.append("d")
        for _ in range(2 if log.count("d") > 3 else 50):  # the first three rounds are warm-up
            next(clock)

    sides = {"none": lambda: log.append("n"), "drop": drop}
    figures = processes.take_turns(sides, 2, lambda: next(clock))
    assert "".join(log) == "nd" + "dn" + "nd" + "dn" + "nd"
    assert figures == {
        "none": {"seconds": 1, "ratio": 1, "page faults": 3},
        "drop": {"seconds": 3, "ratio": 3, "page faults": 3},
    }


# Prints whether freed memory is kept, and the square of its number among the processes.
CHILD = """
import json, os, pathlib, sys

count = pathlib.Path(sys.argv[1])
number = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (number + 1))
thresholds = [int(os.environ.get(f"MALLOC_{name}_THRESHOLD_", 0)) for name in ("TRIM", "MMAP")]
print(json.dumps({"side": {"kept": min(thresholds) > 1, "number": number**2}}))
"""


def test_medians_over_processes_with_memory_kept_and_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in processes.KEPT_MEMORY.items():
        monkeypatch.setenv(name, value)  # the children by default must not inherit it
    count = tmp_path / "count"
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    both = processes.both_ways(str(script), [str(count)], 3)
    assert both.kept == {"side": {"kept": 1, "number": 1}}
    assert both.default == {"side": {"kept": 0, "number": 16}}
