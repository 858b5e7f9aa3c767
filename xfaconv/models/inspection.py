"""Whether a card makes sense, and whether it fits the tensors beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import ModelFileError
from xfaconv.models.packing import unpack_climatology
from xfaconv.specs import Architecture, ModelCard, NetworkSpec

_STEPS = ("1h", "3h", "6h", "12h", "1D", "5D", "7D", "1M")
_TEXTS = ("name", "title", "description", "data", "licence", "citation", "weights_sha256", "version")
_LONGEST = 100_000

# What is checked, what was expected, what was found, and whether that is good.
Checks = Iterable[tuple[str, str, object, bool]]


def check_card(card: ModelCard) -> None:
    """Refuse a card that is wrong in itself.

    Parameters
    ----------
    card : ModelCard
        The card.

    Raises
    ------
    ModelFileError
        Naming the entry, what was expected and what was found.
    """
    _refuse_first_failure(itertools.chain(_card_checks(card), _network_checks(card)))


def check_tensors(
    card: ModelCard, network: Mapping[str, NDArray[np.generic]], climatology: Mapping[str, NDArray[np.generic]]
) -> None:
    """Refuse tensors that do not fit a card, which must be right in itself.

    Whether the weights fit the network's layers is known when the network is built, and checked there.

    Parameters
    ----------
    card : ModelCard
        The card.
    network, climatology : Mapping of str to ndarray
        Weights (float32) and packed climatology, which may be empty.

    Raises
    ------
    ModelFileError
        Naming the entry, what was expected and what was found.
    """
    _refuse_first_failure(_tensor_checks(card, network))
    if climatology:
        shape = unpack_climatology(climatology).coefficients.shape
        wanted = (len(card.variables), 1 + 2 * card.climatology_harmonics, *card.grid.shape)
        if shape != wanted:
            raise _refused("climatology", f"shape {wanted} by variables, harmonics and grid", shape)


def _refuse_first_failure(checks: Checks) -> None:
    for what, expected, found, good in checks:
        if not good:
            raise _refused(what, expected, found)


def _refused(what: str, expected: str, found: object) -> ModelFileError:
    return ModelFileError(
        f"the model card does not fit: {what}",
        expected=expected,
        found=repr(found)[:200],
        fix="get the file again, or correct the card before model.save(path)",
    )


def _card_checks(card: ModelCard) -> Checks:
    for name in _TEXTS:
        yield name, "text", getattr(card, name), isinstance(getattr(card, name), str)
    yield "name", "a name that is not empty", card.name, bool(card.name)
    yield (
        "source",
        "'simulation', 'reanalysis' or 'user'",
        card.source,
        card.source in {"simulation", "reanalysis", "user"},
    )
    yield "step", " or ".join(_STEPS), card.step, card.step in _STEPS
    yield "segment", f"1 to {_LONGEST}", card.segment, _is_count(card.segment, 1, _LONGEST)
    yield "warmup", f"0 to {_LONGEST}", card.warmup, _is_count(card.warmup, 0, _LONGEST)
    yield "parameters", "a whole number", card.parameters, _is_count(card.parameters, 0, 2**53)
    harmonics = card.climatology_harmonics
    yield "climatology_harmonics", "0 to 16", harmonics, _is_count(harmonics, 0, 16)
    names = [variable.name for variable in card.variables]
    yield "variables", "text, no name twice", names, all(map(_is_text, names)) and 0 < len(set(names)) == len(names)
    for variable in card.variables:
        what = f"variable {variable.name!r}"
        yield what, "units and long_name as text", variable, _is_text(variable.units) and _is_text(variable.long_name)
        yield what, "a level in hPa, or none", variable.level, variable.level is None or _is_number(variable.level)
        yield what, "partly_missing true or false", variable.partly_missing, isinstance(variable.partly_missing, bool)
    failures = card.known_failures
    yield "known_failures", "texts", failures, all(isinstance(entry, str) for entry in failures)
    yield "metrics", "a mapping", card.metrics, isinstance(card.metrics, Mapping)
    years = card.years
    yield "years", "texts", years, isinstance(years, Mapping) and all(isinstance(span, str) for span in years.values())


def _network_checks(card: ModelCard) -> Checks:
    spec = card.network
    for entry in fields(NetworkSpec):
        if entry.type == "int":
            lowest = 0 if entry.name == "attention_every" else 1
            lowest = 0 if entry.name == "seasonal_harmonics" else lowest
            value = getattr(spec, entry.name)
            yield f"network.{entry.name}", f"a whole number from {lowest}", value, _is_count(value, lowest, _LONGEST)
    yield (
        "network.variables",
        f"{len(card.variables)}, the card's",
        spec.variables,
        spec.variables == len(card.variables),
    )
    yield "network.architecture", "a known one", spec.architecture, spec.architecture in get_args(Architecture)
    poolings = {"attention", "mean", "patterns"} if spec.located else {"attention", "mean"}
    yield "network.pooling", "'attention', 'mean' or, if located, 'patterns'", spec.pooling, spec.pooling in poolings
    places = spec.attention_places
    yield "network.attention_places", "'harmonics' or 'products'", places, places in ("harmonics", "products")
    flags = (spec.periodic, spec.daily_cycle, spec.located, spec.outlook)
    boolean = all(isinstance(flag, bool) for flag in flags)
    yield "network.periodic, daily_cycle, located, outlook", "true or false", flags, boolean
    dropout = spec.dropout
    yield "network.dropout", "at least 0, below 1", dropout, _is_number(dropout) and 0 <= dropout < 1
    yield (
        "network.domain",
        "four finite degrees",
        spec.domain,
        len(spec.domain) == 4 and all(map(_is_number, spec.domain)),
    )
    leads = spec.leads
    yield (
        "network.leads",
        "ascending steps from 0",
        leads,
        list(leads) == sorted(set(leads)) and min(leads, default=-1) >= 0,
    )
    kernels = [value for scale in spec.scales for value in scale]
    yield "network.scales", "kernel sizes and dilations from 1", spec.scales, all(_is_count(k, 1, 99) for k in kernels)


def _tensor_checks(card: ModelCard, network: Mapping[str, NDArray[np.generic]]) -> Checks:
    yield "weights", "at least one tensor", len(network), bool(network)
    for name, values in network.items():
        good = values.dtype == np.float32 and bool(np.isfinite(values).all())
        yield f"weights {name!r}", "finite float32", str(values.dtype), good
    numbers = sum(values.size for values in network.values())
    yield "parameters", f"at most the {numbers:,} numbers in the file", card.parameters, card.parameters <= numbers


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest
