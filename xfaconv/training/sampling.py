"""Windows of conformed data for training: where they may start, and reading only what a batch needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xfaconv.errors import TimeError
from xfaconv.training.objective import Batch

_SAME_SEASON = 1 / 24
"""Windows are blended when they start less than half a month of the year apart."""


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

    def read_blended(self, starts: Sequence[int], length: int, random: np.random.Generator) -> Batch:
        """Read windows, each blended with another one of the same time of year.

        A window x becomes ``cos(a) x + sin(a) y`` with another window y and a random angle a. The covariances in space
        and time, with their seasons, stay what they are in the record, and no two windows are alike, so that a network
        does not so easily learn a short record by heart. Trend, skewness and all that is not linear are lost. (Pairs of
        samples are mixed in this way by mixup, Zhang et al. 2018, https://arxiv.org/abs/1710.09412; the angle keeps the
        variance.)

        Parameters
        ----------
        starts : sequence of int
            First positions.
        length : int
            Steps of each window.
        random : numpy.random.Generator
            Source of chance.

        Returns
        -------
        Batch
            Missing where either window is missing. A window without a fellow in another year stays as it is.

        Examples
        --------
        >>> field, phase = np.ones((24, 1, 1), "float32"), np.arange(24) / 12 % 1
        >>> source = WindowSource([field], phase, np.zeros(24), (slice(0, 24),))
        >>> batch = source.read_blended([0], 3, np.random.default_rng(0))
        >>> batch.fields.shape, bool(batch.fields.abs().max() <= 2**0.5)
        (torch.Size([1, 3, 1, 1, 1]), True)
        """
        everywhere = self.starts(length)
        first, second = self.read(starts, length), []
        angles = random.uniform(0, 2 * np.pi, len(starts))
        for position, start in enumerate(starts):
            apart = np.abs((self.year_phase[everywhere] - self.year_phase[start] + 0.5) % 1 - 0.5)
            fellows = everywhere[(apart < _SAME_SEASON) & (np.abs(everywhere - start) >= length)]
            if not fellows.size:
                angles[position] = 0.0
            second.append(int(random.choice(fellows)) if fellows.size else start)
        weights = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32))[
            ..., None, None, None, None
        ]
        fields = weights[0] * first.fields + weights[1] * self.read(second, length).fields
        return Batch(fields, first.year_phase, first.day_phase)
