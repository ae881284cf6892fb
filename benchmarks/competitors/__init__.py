"""The competitors: one file each, with the interface of `competitors.interface`."""

from competitors import (
    bitdrop_jax,
    bitdrop_layer,
    jax_dropout,
    libxsmm,
    numba_hash,
    numba_xorshift,
    numpy_textbook,
    numpy_tuned,
    torch_dropout,
)
from competitors.interface import Competitor

COMPETITORS: dict[str, Competitor] = {
    competitor.name: competitor
    for competitor in (
        *bitdrop_layer.COMPETITORS,
        bitdrop_jax.COMPETITOR,
        libxsmm.COMPETITOR,
        numba_hash.COMPETITOR,
        numba_xorshift.COMPETITOR,
        numpy_tuned.COMPETITOR,
        numpy_textbook.COMPETITOR,
        jax_dropout.COMPETITOR,
        torch_dropout.COMPETITOR,
    )
}
