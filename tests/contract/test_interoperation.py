"""Arrays of other libraries: what an error advises is tried on the object that raised it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import bitdrop
import numpy as np
import pytest

F = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
Make = Callable[[Any], Any]


def sparse_array(kind: str, sparse: Any) -> Any:
    return getattr(sparse, kind)(F)


OBJECTS: dict[str, tuple[str, Make, str]] = {
    "quantity": ("pint", lambda pint: F * pint.UnitRegistry().meter, "units"),
    "data array": ("xarray", lambda xarray: xarray.DataArray(F), "labels"),
    "data set": ("xarray", lambda xarray: xarray.Dataset({"v": (("a", "b"), F)}), "Dataset"),
    "variable": ("xarray", lambda xarray: xarray.Variable(("a", "b"), F), "labels"),
    "data frame": ("pandas", lambda pandas: pandas.DataFrame(F), "labels"),
    "series": ("pandas", lambda pandas: pandas.Series(F[0]), "labels"),
    "index": ("pandas", lambda pandas: pandas.Index(F[0]), "labels"),
    "nullable array": ("pandas", lambda pandas: pandas.array(F[0]), "labels"),
    "polars frame": ("polars", lambda polars: polars.DataFrame(F), "labels"),
    "polars series": ("polars", lambda polars: polars.Series(F[0]), "labels"),
    "lazy frame": ("polars", lambda polars: polars.DataFrame(F).lazy(), "lazy"),
    "arrow array": ("pyarrow", lambda arrow: arrow.array(F[0]), ""),
    "arrow array with nulls": ("pyarrow", lambda arrow: arrow.array([1.0, None]), ""),
    "arrow chunks": ("pyarrow", lambda arrow: arrow.chunked_array([F[0], F[1]]), ""),
    "arrow table": ("pyarrow", lambda arrow: arrow.table({"a": F[0]}), "Arrow"),
    "arrow scalar": ("pyarrow", lambda arrow: arrow.scalar(1.0), ""),
    **{
        f"sparse {kind}": ("scipy.sparse", partial(sparse_array, kind), "sparse")
        for kind in (
            "csr_array",
            "csc_matrix",
            "coo_array",
            "bsr_array",
            "dia_array",
            "dok_array",
            "lil_array",
        )
    },
    "dask array": ("dask.array", lambda da: da.from_array(F), "lazy"),
    "masked dask array": ("dask.array", lambda da: da.ma.masked_greater(da.from_array(F), 0), "lazy"),
    "tensor": ("torch", lambda torch: torch.ones(4), "tensor"),
    "tensor with gradient": ("torch", lambda torch: torch.nn.Parameter(torch.ones(4)), "tensor"),
    "tensor of bfloat16": ("torch", lambda torch: torch.ones(4, dtype=torch.bfloat16), "tensor"),
    "sparse tensor": ("torch", lambda torch: torch.ones(4).to_sparse(), "tensor"),
    "masked array": ("numpy", lambda numpy: numpy.ma.masked_array(F, F > 0), "masked"),
    "matrix": ("numpy", lambda numpy: F.view(numpy.matrix), "matrix"),
    "record array": ("numpy", lambda numpy: F.view(numpy.recarray), "recarray"),
    "character array": ("numpy", lambda numpy: numpy.char.array(["a"]), ""),
    "text": ("numpy", lambda numpy: numpy.array(["a"], numpy.dtypes.StringDType()), "numbers first"),
}
ADVICE = re.compile(r"(?:pass |use |or )((?:np|x)\b[^\s,:]*(?:, dtype='\w+'\))?)")


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.filterwarnings("ignore")
def test_advice_of_an_error_leads_to_an_array(name: str) -> None:
    library, make, match = OBJECTS[name]
    x = make(pytest.importorskip(library))
    layer = bitdrop.Dropout(rng=0)
    message = said_about(layer, x)
    assert re.search(match, message), message
    assert re.fullmatch(r"x [^\n]*\.", message), message
    for training in (True, False):  # the same in both modes, and of the gradient
        with pytest.raises(TypeError):
            layer(x, training)
    with pytest.raises(TypeError):
        bitdrop.Mask(F.shape, 0.5, key=(1, 2)).backward(x)
    follow(layer, x, message)
    assert layer.state["position"] <= len(ADVICE.findall(message)) + 3


def said_about(layer: Any, x: Any) -> str:
    """Return the message that a layer raises about an input."""
    with pytest.raises(TypeError) as caught:
        layer(x)
    return str(caught.value)


def follow(layer: Any, x: Any, message: str, depth: int = 0) -> None:
    """Do what a message advises, and what the message about the result advises, until a layer takes it."""
    assert depth < 3, message
    for advice in ADVICE.findall(message.rstrip(".")):
        other = eval(advice, {"x": x, "np": np, "value": 0.0})
        try:
            layer(other)
        except TypeError as error:
            assert isinstance(other, np.ndarray), (advice, message)
            follow(layer, other, str(error), depth + 1)


@pytest.mark.filterwarnings("ignore")
def test_arrays_of_jax_are_read() -> None:
    x = pytest.importorskip("jax.numpy").asarray(F)
    assert np.array_equal(bitdrop.dropout(x, rng=0)[0], bitdrop.dropout(F, rng=0)[0])
