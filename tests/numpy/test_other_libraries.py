"""Arrays of other libraries as input: the error names what came, and what to do."""

from typing import Any

import bitdrop
import numpy as np
import pytest


def message_for(x: Any) -> str:
    layer = bitdrop.Dropout(rng=0)
    with pytest.raises(TypeError) as caught:
        layer(x)
    with pytest.raises(TypeError):
        bitdrop.dropout(x)
    assert layer.state["position"] == 0
    return str(caught.value)


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "bsr_array"])
def test_sparse_matrix_is_sent_to_its_data(kind: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = getattr(sparse, kind)(np.eye(4, dtype=np.float32))
    message = message_for(x)
    assert message.startswith("x is a sparse array (scipy.sparse.")
    assert message.endswith("pass x.data, which holds its stored elements, or x.toarray().")
    bitdrop.dropout(x.data, out=x.data)


def test_dask_array_is_sent_to_bitdrop_dask() -> None:
    da = pytest.importorskip("dask.array")
    x = da.ones((4, 4), dtype="float32")
    assert message_for(x) == ("x is lazy (dask.array.core.Array): use bitdrop.dask, or pass x.compute().")


@pytest.mark.parametrize("requires_grad", [True, False])
def test_tensor_is_sent_to_bitdrop_torch(requires_grad: bool) -> None:
    torch = pytest.importorskip("torch")
    x = torch.ones(4, requires_grad=requires_grad)
    expected = (
        "x is a PyTorch tensor, whose gradient would be lost: use bitdrop.torch, or pass x.detach().numpy()."
    )
    assert message_for(x) == expected
    assert message_for(torch.nn.Parameter(torch.ones(4))) == expected
    bitdrop.dropout(x.detach().numpy())


def test_series_is_sent_to_to_numpy() -> None:
    pandas = pytest.importorskip("pandas")
    assert "has labels that would be lost" in message_for(pandas.Series([1.0, 2.0]))
