"""What the tests of this folder register and draw is forgotten after each module of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from matplotlib import pyplot as plt

from xfaconv.models import registry
from xfaconv.tutorial import samples


@pytest.fixture(scope="module", autouse=True)
def forgotten_registrations() -> Iterator[None]:
    """Empty both registries of this process of what a module put there; a module, as hypothesis wants no less."""
    registries = (registry.MODELS.registered, samples.SAMPLES.registered)
    before = [dict(registered) for registered in registries]
    yield
    for registered, entries in zip(registries, before, strict=True):
        registered.clear()
        registered.update(entries)
    plt.close("all")
