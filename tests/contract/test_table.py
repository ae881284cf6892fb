"""The document has the table of the list over which the contract runs."""

from tests.contract.kinds import KINDS
from tests.contract.table import DOCUMENT, PROPERTIES, document


def test_table_in_document_is_that_of_the_list() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert document(text) == text, "run python -m tests.contract.table"


def test_every_cell_that_is_lacking_has_a_column() -> None:
    assert {name for kind in KINDS.values() for name in kind.lacks} == {*PROPERTIES}
