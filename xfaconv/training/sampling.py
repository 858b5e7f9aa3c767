"""Windows of conformed data for training: where they may start, and reading only what a batch needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xfaconv.errors import TimeError
from xfaconv.training.objective import Batch


@dataclass(frozen=True, eq=False)
class WindowSource:
    """Standardised anomalies with their time axis, and the stretches that windows may be cut from.

    Parameters
    ----------
    fields : sequence of array_like (time, lat, lon)
        One array for each variable, numpy or dask, NaN where missing.
    year_phase, day_phase : ndarray (time,)
        Fractions of the year and of the day.
    stretches : tuple of slice
        Stretches without gaps that belong together (all training years, say).
    """

    fields: Sequence[NDArray[np.float32]]
    year_phase: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    stretches: tuple[slice, ...]

    def starts(self, length: int) -> NDArray[np.int64]:
        """Positions at which a window of a given length fits into one stretch.

        Parameters
        ----------
        length : int
            Steps of the window, the longest lead included.

        Returns
        -------
        ndarray (n,)

        Raises
        ------
        TimeError
            If no stretch is long enough.
        """
        found = [np.arange(part.start, part.stop - length + 1) for part in self.stretches]
        starts = np.concatenate([*found, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        if not starts.size:
            longest = max((part.stop - part.start for part in self.stretches), default=0)
            raise TimeError(
                "the record is too short to train on",
                expected=f"at least {length} steps without a gap",
                found=f"{longest} steps",
                fix="use a longer record, or a smaller window= and smaller leads",
            )
        return starts

    def read(self, starts: Sequence[int], length: int) -> Batch:
        """Read windows.

        Parameters
        ----------
        starts : sequence of int
            First positions.
        length : int
            Steps of each window.

        Returns
        -------
        Batch
        """
        windows = [
            np.stack([np.asarray(field[start : start + length], dtype=np.float32) for field in self.fields], axis=1)
            for start in starts
        ]
        span = np.asarray(starts)[:, None] + np.arange(length)
        return Batch(
            fields=torch.from_numpy(np.stack(windows)),
            year_phase=torch.from_numpy(self.year_phase[span].astype(np.float32)),
            day_phase=torch.from_numpy(self.day_phase[span].astype(np.float32)),
        )
