"""What a segment does about missing values: fills them, refuses them, or lets them blank the results that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import MissingDataError

Policy = Literal["fill", "raise", "propagate"]


@dataclass(frozen=True, eq=False)
class Expected:
    """Which values may be missing without being a fault.

    Parameters
    ----------
    names : tuple of str
        Variables in the model's order.
    absent : tuple of bool
        Variables that the data do not hold at all and that the caller allowed to be absent.
    masked : tuple of bool
        Variables that are always missing somewhere, such as sea surface temperature over land.
    mask : ndarray (variable, latitude, longitude) of bool, optional
        Where they are always missing. Without it a cell of a masked variable counts as such when it is missing at every
        step of the segment.
    """

    names: tuple[str, ...]
    absent: tuple[bool, ...]
    masked: tuple[bool, ...]
    mask: NDArray[np.bool_] | None

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Give what makes two of these equal."""
        mask = None if self.mask is None else (self.mask.shape, np.packbits(self.mask).tobytes())
        return self.names, self.absent, self.masked, mask


@dataclass(frozen=True, eq=False)
class Filled:
    """Fields ready for the network.

    Parameters
    ----------
    fields : ndarray (time, variable, latitude, longitude), float32
        Standardised anomalies, 0 where missing.
    visible : ndarray (time, variable, latitude, longitude), bool
        Where there is a value.
    spoiled : ndarray (time,), bool
        Steps that hold a value missing without being expected to be.
    """

    fields: NDArray[np.float32]
    visible: NDArray[np.bool_]
    spoiled: NDArray[np.bool_]


def fill(
    fields: NDArray[np.float32], expected: Expected, policy: Policy, stamps: Sequence[Any] | NDArray[Any]
) -> Filled:
    """Treat the missing values of one segment.

    Parameters
    ----------
    fields : ndarray (time, variable, latitude, longitude), float32
        Standardised anomalies with NaN where missing; changed in place.
    expected : Expected
        What may be missing.
    policy : {"fill", "raise", "propagate"}
        ``"raise"`` refuses unexpected gaps; the others fill them, and ``"propagate"`` uses `Filled.spoiled` afterwards.
    stamps : sequence (time,)
        Time stamps, for the message.

    Returns
    -------
    Filled

    Raises
    ------
    MissingDataError
        Under ``"raise"``, naming the variable and the time range. Under ``"fill"``, if a variable has no value in the
        whole segment, or no variable has a value at a step.

    Examples
    --------
    >>> fields = np.ones((2, 1, 1, 2), "f4")
    >>> fields[1, 0, 0, 0] = np.nan
    >>> out = fill(fields, Expected(("t2m",), (False,), (False,), None), "fill", ["a", "b"])
    >>> out.fields[1].ravel().tolist(), out.visible[1].ravel().tolist(), out.spoiled.tolist()
    ([0.0, 1.0], [False, True], [False, True])
    """
    absent: NDArray[np.bool_] = np.isnan(fields)
    missing_in = np.asarray(absent.any(axis=(2, 3)))
    spoiled = np.zeros(len(fields), dtype=bool)
    if not missing_in.any():
        return Filled(fields, ~absent, spoiled)
    if policy == "fill":
        _refuse_nothing(absent, expected, stamps)
    fields[absent] = 0
    for number, name in enumerate(expected.names):
        if expected.absent[number] or not missing_in[:, number].any():
            continue
        unexpected: NDArray[np.bool_] = absent[:, number]
        if expected.mask is not None:
            unexpected = unexpected & ~expected.mask[number]
        elif expected.masked[number]:
            unexpected = unexpected & ~np.asarray(unexpected.all(axis=0))
        at_step = np.asarray(unexpected.any(axis=(1, 2)))
        if policy == "raise" and at_step.any():
            _refuse(name, at_step, int(unexpected.sum()), stamps)
        spoiled |= at_step
    return Filled(fields, ~absent, spoiled)


def _refuse_nothing(absent: NDArray[np.bool_], expected: Expected, stamps: Sequence[Any] | NDArray[Any]) -> None:
    """Refuse a variable or a step without a single value: climatology in its place would pass for data."""
    given = [number for number, lacking in enumerate(expected.absent) if not lacking]
    for number in given:
        if absent[:, number].all():
            name = expected.names[number]
            raise MissingDataError(
                f"variable {name!r} has no value at all between {stamps[0]} and {stamps[-1]}",
                expected="values, or a variable that is not there",
                found="missing values only",
                fix="missing='propagate'  # NaN where it is read; or drop the variable, with absent='climatology'",
            )
    empty = np.flatnonzero(absent[:, given].all(axis=(1, 2, 3))) if given else np.zeros(0, dtype=int)
    if empty.size:
        raise MissingDataError(
            f"no variable has a value at {stamps[empty[0]]}" + (f" and {empty.size - 1} more" * (empty.size > 1)),
            expected="steps with data; a step that is left out is a gap, and is treated as one",
            found=f"{empty.size} steps with missing values only",
            fix="ds = ds.dropna('time', how='all')  # or missing='propagate' for NaN there",
        )


def _refuse(name: str, at_step: NDArray[np.bool_], values: int, stamps: Sequence[Any] | NDArray[Any]) -> None:
    where = np.flatnonzero(at_step)
    raise MissingDataError(
        f"variable {name!r} has missing values between {stamps[where[0]]} and {stamps[where[-1]]}",
        expected="values wherever the model's climatology has them",
        found=f"{values} missing values in {len(where)} steps",
        fix="missing='fill'  # estimated, or climatology; or missing='propagate': results that read them become NaN",
    )
