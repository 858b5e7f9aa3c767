"""Cuts time into segments anchored to absolute time, so that chunks and slices of the data never change a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError

Mode = Literal["windowed", "stateful"]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """One run of the network: the positions that it reads and the positions that it keeps.

    Parameters
    ----------
    read_start, keep_start, stop : int
        Positions along time: up to ``keep_start`` the steps spin the state up, up to ``stop`` they are kept.
    continues : bool
        Whether the state comes from the piece before (``mode="stateful"`` inside a gap-free run).
    """

    read_start: int
    keep_start: int
    stop: int
    continues: bool

    @property
    def kept(self) -> int:
        """Number of steps kept."""
        return self.stop - self.keep_start


@dataclass(frozen=True, eq=False)
class Segmentation:
    """How a time axis is cut.

    Parameters
    ----------
    read_start, keep_start, stop : ndarray (piece,), int64
        Positions along time, as in `Piece`.
    continues : ndarray (piece,), bool
        Whether a piece takes its state from the one before.
    full_warmup : ndarray (time,), bool
        Whether the whole warm-up of a step lies inside the data.
    segment, warmup : int
        Steps kept by a whole segment, and steps spun up before it.
    mode : {"windowed", "stateful"}
        Whether every segment starts from rest, or carries the state on.
    """

    read_start: IntArray
    keep_start: IntArray
    stop: IntArray
    continues: NDArray[np.bool_]
    full_warmup: NDArray[np.bool_]
    segment: int
    warmup: int
    mode: Mode

    def __len__(self) -> int:
        """Count the pieces, each of which is one call of the network."""
        return len(self.stop)

    def __iter__(self) -> Iterator[Piece]:
        """Give the pieces in the order of time."""
        columns = (self.read_start.tolist(), self.keep_start.tolist(), self.stop.tolist(), self.continues.tolist())
        for read_start, keep_start, stop, continues in zip(*columns, strict=True):
            yield Piece(read_start, keep_start, stop, continues)

    @property
    def kept(self) -> tuple[int, ...]:
        """Steps kept by each piece; they sum to the length of the record."""
        return tuple((self.stop - self.keep_start).tolist())

    @property
    def steps_run(self) -> int:
        """Steps that the network runs in all, those spun up included."""
        return int((self.stop - self.read_start).sum())

    @property
    def longest_read(self) -> int:
        """Steps that the longest piece reads."""
        return int((self.stop - self.read_start).max())


def cut(index: IntArray, runs: Sequence[slice], *, segment: int, warmup: int, mode: Mode = "windowed") -> Segmentation:
    """Cut a time axis into pieces that belong to one segment of absolute time and to one gap-free run.

    The step with absolute number ``n`` belongs to segment ``n // segment``, whatever record it is read from. In mode
    ``"windowed"`` a piece reads from ``warmup`` steps before its segment, as far as its run goes back, and starts from
    rest. In mode ``"stateful"`` it reads its own steps alone and carries on from the piece before; at gaps from rest.

    Parameters
    ----------
    index : ndarray (time,), int64
        Absolute step numbers, consecutive within a run.
    runs : sequence of slice
        Stretches of positions without gaps, in order, covering the axis.
    segment, warmup : int
        Steps kept and spun up.
    mode : {"windowed", "stateful"}
        How the state is treated.

    Returns
    -------
    Segmentation

    Raises
    ------
    ArgumentError
        If the mode is unknown, or the lengths are not positive.

    Examples
    --------
    >>> pieces = cut(np.arange(5, 14), [slice(0, 9)], segment=4, warmup=2)
    >>> [(piece.read_start, piece.keep_start, piece.stop) for piece in pieces]
    [(0, 0, 3), (1, 3, 7), (5, 7, 9)]
    >>> pieces.full_warmup.tolist()
    [False, False, False, True, True, True, True, True, True]
    """
    if mode not in ("windowed", "stateful"):
        raise ArgumentError(
            f"mode {mode!r} is unknown", expected="'windowed' or 'stateful'", found=repr(mode), fix="mode='windowed'"
        )
    if segment < 1 or warmup < 0:
        raise ArgumentError(
            "the segmentation is impossible",
            expected="segment of at least 1 step and warmup of at least 0",
            found=f"segment={segment}, warmup={warmup}",
        )
    numbers = np.asarray(index, dtype=np.int64)
    columns: list[list[IntArray]] = [[], [], [], []]
    full = np.zeros(len(numbers), dtype=bool)
    for run in runs:
        if run.stop <= run.start:
            continue
        # Positions and absolute numbers differ by a constant within a run.
        offset = run.start - int(numbers[run.start])
        starts = np.arange(numbers[run.start] // segment, numbers[run.stop - 1] // segment + 1) * segment + offset
        keep_start = np.maximum(starts, run.start)
        stop = np.minimum(starts + segment, run.stop)
        if mode == "windowed":
            read_start = np.maximum(starts - warmup, run.start)
            complete = starts - warmup >= run.start
            full[run] = np.repeat(complete, stop - keep_start)
            continues = np.zeros(len(starts), dtype=np.int64)
        else:
            read_start = keep_start
            full[run] = np.arange(run.stop - run.start) >= warmup
            continues = (keep_start > run.start).astype(np.int64)
        for column, values in zip(columns, (read_start, keep_start, stop, continues), strict=True):
            column.append(values)
    read, keep, ends, carried = (
        np.concatenate(column) if column else np.zeros(0, dtype=np.int64) for column in columns
    )
    return Segmentation(read, keep, ends, carried.astype(bool), full, segment, warmup, mode)
