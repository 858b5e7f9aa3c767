"""A climatology as 16-bit integers: small on disk, and exactly the same after any number of round trips."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from xfaconv.climatology import Climatology
from xfaconv.errors import ModelError, ModelFileError

_MISSING = -32768
_WIDEST = 65534
# Below this step (relative, because the spread is packed as a logarithm) float32 could not hold the result apart.
_SMALLEST_LOG_STEP = -14
_SHAPES = "coefficients (variable, coefficient, latitude, longitude) and spread (variable, latitude, longitude)"


def pack_climatology(climatology: Climatology) -> dict[str, NDArray[np.generic]]:
    """Pack a climatology into 16-bit integers.

    Each (variable, coefficient) has a scale and an offset of its own; the spread is packed as a logarithm, so that
    it stays positive and keeps the same relative precision everywhere. Scales are powers of two, which makes
    packing what was unpacked give exactly the same numbers again.

    Parameters
    ----------
    climatology : Climatology
        Coefficients (variable, coefficient, latitude, longitude) and spread (variable, latitude, longitude).

    Returns
    -------
    dict of str to ndarray
        ``"coefficients"`` and ``"spread"``, int16 with missing as -32768, and their ``".scale"`` and ``".offset"``.

    Raises
    ------
    ModelError
        If the shapes do not fit together, a value is infinite, or a spread is not positive.

    Examples
    --------
    >>> climatology = Climatology(np.full((1, 3, 2, 2), 273.15, "f4"), np.full((1, 2, 2), 1.5, "f4"))
    >>> packed = pack_climatology(climatology)
    >>> float(unpack_climatology(packed).coefficients[0, 0, 0, 0].round(2))
    273.15
    """
    coefficients = np.asarray(climatology.coefficients, dtype=np.float32)
    spread = np.asarray(climatology.scale, dtype=np.float32)
    problems = {
        "shapes that do not fit together": (
            coefficients.ndim != 4 or spread.shape != (coefficients.shape[0], *coefficients.shape[2:])
        ),
        "infinite values": np.isinf(coefficients).any() or np.isinf(spread).any(),
        "a spread that is not positive": (spread <= 0).any(),
    }
    for problem, present in problems.items():
        if present:
            raise ModelError(
                f"the climatology has {problem}",
                expected=f"{_SHAPES}, finite, or NaN where always missing; the spread above 0",
                found=f"coefficients {coefficients.shape}, spread {spread.shape} from {np.nanmin(spread):g}",
            )
    logarithm = np.log(spread.astype(np.float64))
    return _pack("coefficients", coefficients.astype(np.float64), None) | _pack("spread", logarithm, _SMALLEST_LOG_STEP)


def unpack_climatology(packed: Mapping[str, NDArray[np.generic]]) -> Climatology:
    """Undo `pack_climatology`.

    Parameters
    ----------
    packed : Mapping of str to ndarray
        As `pack_climatology` gives it.

    Returns
    -------
    Climatology
        In float32, read-only.

    Raises
    ------
    ModelFileError
        If an array is absent, of the wrong kind or shape.
    """
    if not _is_complete(packed):
        raise ModelFileError(
            "the packed climatology is not complete, or its arrays do not fit together",
            expected=f"int16 {_SHAPES}, each with a float64 scale and offset per slice",
            found=", ".join(f"{name} {packed[name].dtype} {packed[name].shape}" for name in sorted(packed)),
        )
    # What overflows is refused below, with an error that says more than numpy's warning.
    with np.errstate(over="ignore", invalid="ignore"):
        coefficients = _unpack(packed, "coefficients").astype(np.float32)
        spread = np.exp(_unpack(packed, "spread")).astype(np.float32)
    in_range = np.isfinite(coefficients) | (packed["coefficients"] == _MISSING)
    positive = (spread > 0) & np.isfinite(spread) | (packed["spread"] == _MISSING)
    if not (in_range.all() and positive.all()):
        raise ModelFileError("the packed climatology has values out of range", expected="finite, spread above 0")
    coefficients.flags.writeable = False
    spread.flags.writeable = False
    return Climatology(coefficients, spread)


def _pack(name: str, values: NDArray[np.float64], smallest: int | None) -> dict[str, NDArray[np.generic]]:
    """Pack every leading slice (..., latitude, longitude) by its own power of two."""
    lead = values.shape[:-2]
    integers = np.full(values.shape, _MISSING, dtype=np.int16)
    scale, offset = np.zeros(lead), np.zeros(lead)
    for index in np.ndindex(lead):
        seen = ~np.isnan(values[index])
        if not seen.any():
            continue
        present = values[index][seen]
        low, high = float(present.min()), float(present.max())
        if low == high and smallest is None:
            offset[index], integers[index][seen] = low, 0
            continue
        exponent = _exponent(low, high, smallest)
        middle = (_steps(low, exponent) + _steps(high, exponent)) // 2
        scale[index] = np.ldexp(1.0, exponent)
        offset[index] = np.ldexp(middle, exponent)
        integers[index][seen] = (np.rint(np.ldexp(present, -exponent)) - middle).astype(np.int16)
    return {name: integers, f"{name}.scale": scale, f"{name}.offset": offset}


def _exponent(low: float, high: float, smallest: int | None) -> int:
    """Smallest power of two whose whole steps from low to high fit in 16 bits."""
    span = max(high - low, float(np.finfo(np.float32).tiny))
    guess = math.floor(math.log2(span / _WIDEST)) - 1
    exponent = guess if smallest is None else max(guess, smallest)
    while _steps(high, exponent) - _steps(low, exponent) > _WIDEST:
        exponent += 1
    return exponent


def _steps(value: float, exponent: int) -> float:
    return float(np.rint(np.ldexp(value, -exponent)))


def _unpack(packed: Mapping[str, NDArray[np.generic]], name: str) -> NDArray[np.float64]:
    integers = packed[name]
    scale, offset = (packed[f"{name}.{part}"][..., None, None].astype(np.float64) for part in ("scale", "offset"))
    return np.where(integers == _MISSING, np.nan, integers.astype(np.float64) * scale + offset)


def _is_complete(packed: Mapping[str, NDArray[np.generic]]) -> bool:
    shape = packed["coefficients"].shape if "coefficients" in packed else ()
    if len(shape) != 4 or shape[1] % 2 == 0:
        return False
    wanted: dict[str, tuple[object, tuple[int, ...]]] = {}
    for name, whole in (("coefficients", shape), ("spread", (shape[0], *shape[2:]))):
        wanted[name] = np.dtype(np.int16), whole
        wanted[f"{name}.scale"] = wanted[f"{name}.offset"] = np.dtype(np.float64), whole[:-2]
    found = {name: (values.dtype, values.shape) for name, values in packed.items()}
    return found == wanted and all(bool(np.isfinite(values).all()) for values in packed.values())
