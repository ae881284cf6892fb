"""Keras 3 on its PyTorch backend, whose dropout `patch` reaches."""

import pytest

from tests.helpers.support import run_python

pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")

# In a process of its own, because Keras reads its backend when it is imported.
TRAINING = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np, torch
import bitdrop.torch
from bitdrop.torch import _calls

seen = []
original = _calls.drop

def drop(kind, x, p, *rest):
    seen.append((tuple(x.shape), p))
    return original(kind, x, p, *rest)

_calls.drop = drop
keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.layers.Input((20,)),
    keras.layers.Dense(64, activation="relu"),
    keras.layers.Dropout(0.25),
    keras.layers.Dense(1),
])
model.compile(keras.optimizers.Adam(0.02), "mse")
rng = np.random.default_rng(0)
x = rng.standard_normal((256, 20)).astype("float32")
y = x[:, :1] * 2
with bitdrop.torch.patch():
    history = model.fit(x, y, epochs=5, batch_size=64, verbose=0)
    assert seen == [((64, 64), 0.25)] * 20, seen
    model.predict(x, verbose=0)
    assert len(seen) == 20
    SEEDED
losses = history.history["loss"]
assert losses[-1] < 0.5 * losses[0], losses
"""

# Keras calls torch.bernoulli for these.
NOT_REACHED = """
    for layer in (keras.layers.Dropout(0.5, seed=1), keras.layers.Dropout(0.5, noise_shape=(None, 1))):
        assert len(torch.unique(layer(torch.ones(64, 64), training=True))) == 2
    assert len(seen) == 20, seen
"""


@pytest.fixture(autouse=True)
def _keras() -> None:
    process = run_python("-W", "ignore", "-c", "import keras", KERAS_BACKEND="torch")
    if process.returncode != 0:
        pytest.skip("needs pip install keras")


def test_fit_trains_on_bitdrops_masks_and_seeded_layers_are_keras_own() -> None:
    process = run_python("-W", "ignore", "-c", TRAINING.replace("    SEEDED", NOT_REACHED))
    assert process.returncode == 0, process.stderr
