"""A fully connected network in NumPy: a few small layers, each with a forward and a backward pass.

All layers have the same interface, including `bitdrop.Dropout`:

    y = layer.forward(x, training)      returns the outputs, and stores what backward needs
    dx = layer.backward(dy)             takes the gradient with respect to y, returns that with respect to x

Rows of x are the samples of a batch, columns the units.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


class Layer(Protocol):
    """Interface of the layers of a network."""

    def forward(self, x: Any, training: bool) -> Any:
        """Return the layer's output."""

    def backward(self, dy: Any) -> Any:
        """Return the gradient with respect to the input of the last forward pass."""


class Affine:
    """``y = x @ weights + bias``, with the gradients of both after a backward pass."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        # He et al. (2015): with ReLUs, this keeps the size of the signal the same from layer to layer.
        deviation = np.sqrt(2 / inputs)
        weights = (deviation * rng.standard_normal((inputs, outputs))).astype(np.float32)
        self.parameters: list[Floats] = [weights, np.zeros(outputs, dtype=np.float32)]
        self.gradients: list[Floats] = []

    def forward(self, x: Floats, training: bool) -> Floats:
        """Return ``x @ weights + bias``, in training and at inference."""
        self._x = x
        weights, bias = self.parameters
        return x @ weights + bias

    def backward(self, dy: Floats) -> Floats:
        """Store the gradients of the parameters, and return the gradient of the input."""
        weights, _ = self.parameters
        self.gradients = [self._x.T @ dy, dy.sum(axis=0)]
        return dy @ weights.T


class ReLU:
    """``y = max(x, 0)``."""

    def forward(self, x: Floats, training: bool) -> Floats:
        """Return the positive part of x."""
        self._positive = x > 0
        return x * self._positive

    def backward(self, dy: Floats) -> Floats:
        """Return the gradient where x was positive, and 0 elsewhere."""
        return dy * self._positive


class SoftmaxLoss:
    """Mean cross-entropy between the labels and the softmax of a network's outputs."""

    def forward(self, outputs: Floats, labels: Labels) -> float:
        """Return the loss of a batch."""
        # Subtracting the largest output changes no probability and prevents overflow in exp.
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        self._probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        self._labels = labels
        chosen = self._probabilities[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())

    def backward(self) -> Floats:
        """Return the gradient with respect to the outputs: (probabilities - one-hot labels) / batch size."""
        gradient: Floats = self._probabilities.copy()
        gradient[np.arange(len(self._labels)), self._labels] -= 1
        return gradient / np.float32(len(self._labels))


class Network:
    """Sequence of layers."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers

    def forward(self, x: Floats, training: bool) -> Floats:
        """Pass x through all layers."""
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy: Floats) -> None:
        """Pass the gradient back through all layers."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)

    def accuracy(self, x: Floats, labels: Labels) -> float:
        """Return the share of samples whose largest output is that of their label, without dropout."""
        outputs = self.forward(x, training=False)
        return float(np.mean(outputs.argmax(axis=1) == labels))


class Momentum:
    """Stochastic gradient descent with momentum, for the affine layers of a network."""

    def __init__(self, network: Network, learning_rate: float, momentum: float = 0.9) -> None:
        self._affine = [layer for layer in network.layers if isinstance(layer, Affine)]
        self._velocities = [[np.zeros_like(p) for p in layer.parameters] for layer in self._affine]
        self._learning_rate = np.float32(learning_rate)
        self._momentum = np.float32(momentum)

    def step(self) -> None:
        """Update each velocity by its gradient and each parameter by its velocity."""
        for layer, velocities in zip(self._affine, self._velocities, strict=True):
            for i, gradient in enumerate(layer.gradients):
                velocities[i] = self._momentum * velocities[i] - self._learning_rate * gradient
                layer.parameters[i] += velocities[i]
