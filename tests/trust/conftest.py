"""What these tests register is forgotten after each of them."""

from __future__ import annotations

import pytest

from xfaconv.models import registry
from xfaconv.tutorial import samples


@pytest.fixture(autouse=True)
def own_registrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test registries of its own."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    monkeypatch.setattr(samples, "_REGISTERED", dict(samples._REGISTERED))
