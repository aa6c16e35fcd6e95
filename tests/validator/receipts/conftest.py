"""A pool of verifying processes for the tests of this folder."""

from collections.abc import Iterator

import pytest

from validator.receipts.verifier import Verifier


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    pool = Verifier(1)
    yield pool
    pool.close()
