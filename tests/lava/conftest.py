"""These tests need lava-nc and are run by ``tests/lava_session.py``."""

import pytest

from hardware_sims.lava import compat
from strl.errors import BackendError


@pytest.fixture(autouse=True, scope="session")
def _lava() -> None:
    try:
        compat.load()
    except BackendError as error:
        pytest.skip(error.message)
