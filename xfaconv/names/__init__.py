"""What coordinates, variables and units may be called: the tables, and the functions that look names up in them."""

from xfaconv.names.coordinates import (
    INTERVAL_MIDDLE,
    FoundCoordinate,
    axis_values,
    candidates,
    find_coordinate,
    find_dimension,
    holds_dates,
    known_names,
    level_coordinate,
    level_values,
)
from xfaconv.names.regions import named_regions, region_title
from xfaconv.names.variables import FoundVariable, find_variable, recognise_variable

__all__ = [
    "INTERVAL_MIDDLE",
    "FoundCoordinate",
    "FoundVariable",
    "axis_values",
    "candidates",
    "find_coordinate",
    "find_dimension",
    "find_variable",
    "holds_dates",
    "known_names",
    "level_coordinate",
    "level_values",
    "named_regions",
    "recognise_variable",
    "region_title",
]
