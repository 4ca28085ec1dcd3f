"""What tests compare with where it is installed: a test that uses a peer that is not is skipped, and says so."""

from typing import Any

import pytest


class Peer:
    """A module, imported when a test first uses it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(pytest.importorskip(self._name), attribute)
