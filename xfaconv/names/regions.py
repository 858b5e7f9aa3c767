"""Boxes that have a name, such as the regions of El Nino."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

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
    text = resources.files("xfaconv.names").joinpath("regions.yaml").read_text(encoding="utf-8")
    boxes = {}
    for name, edges in yaml.safe_load(text).items():
        south, north, west, east = map(float, edges)
        boxes[name] = south, north, west, east
    return MappingProxyType(boxes)
