"""Examples: the network with NumPy alone, the scripts if their dependencies are installed."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import bitdrop
import numpy as np
import pytest

from tests.helpers.paths import EXAMPLES
from tests.helpers.support import run_python, without_asan

sys.path.append(str(EXAMPLES))

from network import Affine, Momentum, Network, ReLU, SoftmaxLoss

EXTRAS = ("matplotlib", "rich", "sklearn", "threadpoolctl")
needs_extras = pytest.mark.skipif(
    any(find_spec(name) is None for name in EXTRAS), reason="needs pip install '.[examples]'"
)


def printed_by(script: str, plot: Path, *arguments: str, **environment: str) -> str:
    """Run an example, check that it writes its plot, and return what it prints."""
    process = run_python(str(EXAMPLES / script), *arguments, "--output", str(plot), **environment)
    assert process.returncode == 0, process.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")
    return process.stdout


def small_network(dropout: bitdrop.Dropout) -> Network:
    rng = np.random.default_rng(1)
    return Network([Affine(6, 8, rng), ReLU(), dropout, Affine(8, 3, rng)])


def test_gradients_of_network_equal_finite_differences() -> None:
    dropout = bitdrop.Dropout(p=0.5, rng=2)
    network, loss, rng = small_network(dropout), SoftmaxLoss(), np.random.default_rng(3)
    x, labels = rng.standard_normal((5, 6)), np.array([0, 1, 2, 0, 1])
    affine = [layer for layer in network.layers if isinstance(layer, Affine)]
    for layer in affine:
        layer.parameters = [p.astype(np.float64) for p in layer.parameters]
    start = dropout.state

    def loss_of_the_same_mask() -> float:
        dropout.state = start
        return loss.forward(network.forward(x, training=True), labels)

    loss_of_the_same_mask()
    network.backward(loss.backward())
    assert any(
        np.count_nonzero(gradient) < gradient.size for gradient in affine[1].gradients
    )  # some are dropped
    for layer in affine:
        for parameter, gradient in zip(layer.parameters, layer.gradients, strict=True):
            for index in np.ndindex(parameter.shape):
                value, step = parameter[index], 1e-6
                parameter[index] = value + step
                above = loss_of_the_same_mask()
                parameter[index] = value - step
                below = loss_of_the_same_mask()
                parameter[index] = value
                assert gradient[index] == pytest.approx((above - below) / (2 * step), abs=1e-7)


def test_trained_network_fits_its_training_set() -> None:
    rng = np.random.default_rng(4)
    x, labels = rng.standard_normal((60, 6)).astype(np.float32), np.arange(60) % 3
    x[np.arange(60), labels] += 4
    network, loss = small_network(bitdrop.Dropout(p=0.2, rng=5)), SoftmaxLoss()
    before = network.accuracy(x, labels)
    optimiser = Momentum(network, learning_rate=0.05)
    for _ in range(100):
        loss.forward(network.forward(x, training=True), labels)
        network.backward(loss.backward())
        optimiser.step()
    assert before < 0.8
    assert network.accuracy(x, labels) > 0.95


@needs_extras
def test_overfitting_prints_gain_and_writes_plot(tmp_path: Path) -> None:
    printed = printed_by("overfit_digits.py", tmp_path / "plot.png", "--epochs", "6", "--seeds", "2")
    assert "Dropout changes the accuracy on the test images by" in " ".join(printed.split())
    assert "of 2 seeds" in " ".join(printed.split())


@needs_extras
def test_digits_are_split_in_three_without_overlap_and_test_labels_are_right() -> None:
    from overfit_digits import Settings, split_digits  # noqa: PLC0415 - needs the extras
    from sklearn.datasets import load_digits  # noqa: PLC0415

    settings = Settings(wrong_labels=0.5)
    first, second = (split_digits(settings, np.random.default_rng(seed)) for seed in (0, 1))
    assert (first.test_x == second.test_x).all()
    assert (len(first.train_x), len(first.validation_x)) == (1000, 300)
    rows = np.concatenate([first.train_x, first.validation_x, first.test_x])
    digits = load_digits()
    expected = (digits.data / 16).astype(np.float32)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, expected))
    right = {bytes(image): label for image, label in zip(expected, digits.target, strict=True)}
    share = {
        name: np.mean([right[bytes(image)] == label for image, label in zip(x, labels, strict=True)])
        for name, x, labels in (
            ("train", first.train_x, first.train_labels),
            ("validation", first.validation_x, first.validation_labels),
            ("test", first.test_x, first.test_labels),
        )
    }
    assert share["test"] == 1
    assert share["train"] == pytest.approx(0.5, abs=0.06)
    assert share["validation"] == pytest.approx(0.5, abs=0.1)


@needs_extras
def test_early_stop_is_chosen_on_validation_images() -> None:
    from overfit_digits import Curves  # noqa: PLC0415 - needs the extras

    validation, test = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]]), np.array([[1.0, 2, 3], [4, 5, 6]])
    curves = Curves([0, 2, 4], validation, validation, test)
    assert curves.stopped_early(curves.test).tolist() == [2, 4]


@needs_extras
def test_thinned_network_is_network_of_shared_masks_up_to_rounding() -> None:
    thinned_network = pytest.importorskip("thinned_network")
    rng = np.random.default_rng(6)
    x, labels = rng.random((20, 64)), rng.integers(10, size=20)
    trainers = {kind: thinned_network.build(kind, 40, 7, 0.05) for kind in thinned_network.COLOURS}
    parameters = {}
    for kind, trainer in trainers.items():
        affine = [layer for layer in trainer.network.layers if isinstance(layer, Affine)]
        for layer in affine:
            layer.parameters = [parameter.astype(np.float64) for parameter in layer.parameters]
        for _ in range(5):
            trainer.step(x, labels)
        parameters[kind] = np.concatenate([p.ravel() for layer in affine for p in layer.parameters])
    np.testing.assert_allclose(parameters["thinned"], parameters["shared masks"], rtol=1e-4, atol=1e-6)
    for other in ("dropout as usual", "without dropout"):
        assert np.abs(parameters["thinned"] - parameters[other]).max() > 0.01
    assert np.array_equal(
        trainers["thinned"].network.forward(x, training=False),
        thinned_network.Network(trainers["thinned"].network.layers).forward(x, training=False),
    )


@needs_extras
def test_thinned_network_prints_both_tables_and_writes_its_plot(tmp_path: Path) -> None:
    arguments = ("--epochs", "2", "--seeds", "2", "--rounds", "2")
    printed = printed_by("thinned_network.py", tmp_path / "plot.png", *arguments)
    rows = [line.strip("│").split("│") for line in printed.splitlines() if "│" in line]
    kinds = ["without dropout", "dropout as usual", "shared masks", "thinned"]
    assert [row[0].strip() for row in rows] == 2 * kinds
    assert all(float(row[2]) > 0 for row in rows[:4])
    assert float(rows[4][1]) == 1


@needs_extras
def test_averaging_is_exact_for_linear_network_only(tmp_path: Path) -> None:
    printed = printed_by("averaging.py", tmp_path / "plot.png", "--samples", "2000")
    rows = [line.replace("│", " ").split() for line in printed.splitlines() if "│" in line]
    distances = {name: (float(sampled.rstrip("%")) / 100, float(exact)) for name, sampled, exact in rows}
    assert distances["linear"][0] < 0.1
    assert distances["linear"][1] < 1e-12
    assert distances["ReLU"] == pytest.approx(
        (0.28, 0.28), abs=0.03
    )  # the figure in docs/explanation/dropout.md


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs pip install '.[examples]'")
def test_monte_carlo_is_less_certain_away_from_training_set(tmp_path: Path) -> None:
    printed = printed_by(
        "monte_carlo.py", tmp_path / "plot.png", "--samples", "100", OPENBLAS_NUM_THREADS="1"
    )
    spread = dict(re.findall(r"deviation ([\w ]+): ([\d.]+)", printed))
    assert float(spread["outside"]) > 1.5 * float(spread["on the training set"]) > 0
    assert float(spread["in its gap"]) > 1.1 * float(spread["on the training set"])


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs pip install '.[examples]'")
def test_pictures_of_blocks_drop_about_the_same_share(tmp_path: Path) -> None:
    printed = printed_by("drop_block.py", tmp_path / "plot.png")
    shares = dict(re.findall(r"(\w+): ([\d.]+) of the elements", printed))
    assert {name: float(share) for name, share in shares.items()} == pytest.approx(
        {"Dropout": 0.3, "DropBlock2d": 0.3, "Dropout2d": 1 / 3}, abs=0.04
    )


@without_asan
@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs pip install '.[examples]'")
def test_larger_than_memory_stays_within_limit_of_workers(tmp_path: Path) -> None:
    pytest.importorskip("dask.array", reason="needs pip install '.[dask]'")
    pytest.importorskip("distributed", reason="needs pip install '.[dask]'")
    script, plot = EXAMPLES / "larger_than_memory.py", tmp_path / "plot.png"
    process = run_python(str(script), "--size", "1.25", "--memory-limit", "512", "--output", str(plot))
    assert process.returncode == 0, process.stderr
    assert plot.exists()
    lines = [line.strip("│").split("│") for line in process.stdout.splitlines() if "│" in line]
    rows = {name.strip(): value.strip() for name, value in lines}
    assert rows["array"] == "20,480 x 16,384 float32: 1,280 MiB"
    assert rows["memory limit of all workers"] == "1,024 MiB"
    assert all(int(peak.split()[0]) < 512 for peak in rows["most that each worker held"].split(", "))
    assert rows["rows as on one machine"] == "yes"
    assert float(rows["share of gradients dropped"]) == pytest.approx(0.25, abs=1e-3)
