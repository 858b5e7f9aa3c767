"""Boxes that have a name, such as the regions of El Nino."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml


@cache
def named_regions() -> Mapping[str, tuple[float, float, float, float]]:
    """Give the boxes of the table ``regions.yaml`` by name.

    Returns
    -------
    Mapping of str to (south, north, west, east)
        Edges [degrees].

    Examples
    --------
    >>> named_regions()["nino34"]
    (-5.0, 5.0, 190.0, 240.0)
    """
    boxes = {}
    for name, entry in _table().items():
        south, north, west, east = map(float, entry["box"])
        boxes[name] = south, north, west, east
    return MappingProxyType(boxes)


def region_title(name: str) -> str:
    """Write the name of a region as people read it.

    Examples
    --------
    >>> region_title("nino34"), region_title("my_region")
    ('Niño 3.4', 'my region')
    """
    entry = _table().get(name)
    return str(entry["title"]) if entry else name.replace("_", " ")


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    text = resources.files("xfaconv.names").joinpath("regions.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)
    return found
