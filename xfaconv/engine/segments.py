"""Cuts time into segments anchored to absolute time, so that chunks and slices of the data never change a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xfaconv.arguments import Mode
from xfaconv.errors import ArgumentError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """One run of the network: the positions that it reads and the positions that it keeps.

    Parameters
    ----------
    read_start, keep_start, stop : int
        Positions along time: up to ``keep_start`` the steps are the warm-up, up to ``stop`` they are kept.
    continues : bool
        Whether the state comes from the segment before (``mode="stateful"`` inside a span without a gap).
    """

    read_start: int
    keep_start: int
    stop: int
    continues: bool


@dataclass(frozen=True, eq=False)
class Segmentation:
    """How a time axis is cut.

    Parameters
    ----------
    read_start, keep_start, stop : ndarray (segment,), int64
        Positions along time, as in `Segment`.
    continues : ndarray (segment,), bool
        Whether a segment takes its state from the one before.
    full_warmup : ndarray (time,), bool
        Whether the whole warm-up of a step lies inside the data.
    length, warmup : int
        Steps kept by a whole segment, and steps of its warm-up.
    mode : {"windowed", "stateful"}
        Whether every segment starts from rest, or carries the state on.
    """

    # Columns and not a list of segments: a century of hourly data has tens of thousands of them.
    read_start: IntArray
    keep_start: IntArray
    stop: IntArray
    continues: NDArray[np.bool_]
    full_warmup: NDArray[np.bool_]
    length: int
    warmup: int
    mode: Mode

    def __len__(self) -> int:
        """Count the segments, each of which is one call of the network."""
        return len(self.stop)

    def __iter__(self) -> Iterator[Segment]:
        """Give the segments in the order of time."""
        columns = (self.read_start, self.keep_start, self.stop, self.continues)
        return map(Segment, *(column.tolist() for column in columns))

    @property
    def kept(self) -> tuple[int, ...]:
        """Steps kept by each segment; they sum to the length of the record."""
        return tuple((self.stop - self.keep_start).tolist())

    @property
    def steps_read(self) -> IntArray:
        """Steps that the network runs in each segment, the warm-up included."""
        return self.stop - self.read_start

    def holding(self, steps: IntArray | None) -> NDArray[np.bool_]:
        """Mark the segments that are run for some steps, in a chain those before them, too; all for None."""
        needed = np.ones(len(self), dtype=bool)
        if steps is None:
            return needed
        needed[:] = False
        needed[np.searchsorted(self.stop, np.unique(steps), side="right")] = True
        for number in range(len(self) - 1, 0, -1):
            needed[number - 1] |= needed[number] and self.continues[number]
        return needed

    def each_step(self) -> Segmentation:
        """Give every step a segment of its own, which reads from where the state of the step begins up to the step.

        Examples
        --------
        >>> segments = cut(np.arange(5, 14), [slice(0, 9)], segment=4, warmup=2).each_step()
        >>> segments.read_start.tolist(), segments.kept[:3]
        ([0, 0, 0, 1, 1, 1, 1, 5, 5], (1, 1, 1))
        """
        # In a chain the state begins where the chain does.
        first = np.maximum.accumulate(np.where(self.continues, 0, self.read_start))
        start, steps = np.repeat(first, self.kept), np.arange(len(self.full_warmup))
        alone = np.zeros(len(steps), dtype=bool)
        return Segmentation(start, steps, steps + 1, alone, self.full_warmup, 1, self.warmup, "windowed")


def cut(index: IntArray, spans: Sequence[slice], *, segment: int, warmup: int, mode: Mode = "windowed") -> Segmentation:
    """Cut a time axis into segments that belong to one block of absolute time and to one span without a gap.

    The step with absolute number ``n`` belongs to block ``n // segment``, whatever record it is read from. In mode
    ``"windowed"`` a segment reads from ``warmup`` steps before its block, as far as its span goes back, and starts from
    rest. In mode ``"stateful"`` it reads its own steps alone and carries on from the segment before; at gaps from rest.

    Parameters
    ----------
    index : ndarray (time,), int64
        Absolute step numbers, consecutive within a span.
    spans : sequence of slice
        Ranges of positions without a gap, in order, covering the axis.
    segment, warmup : int
        Steps kept, and steps before them.
    mode : {"windowed", "stateful"}
        How the state is treated.

    Returns
    -------
    Segmentation

    Raises
    ------
    ArgumentError
        If the lengths are not positive.

    Examples
    --------
    >>> segments = cut(np.arange(5, 14), [slice(0, 9)], segment=4, warmup=2)
    >>> [(one.read_start, one.keep_start, one.stop) for one in segments]
    [(0, 0, 3), (1, 3, 7), (5, 7, 9)]
    >>> segments.full_warmup.tolist()
    [False, False, False, True, True, True, True, True, True]
    """
    if segment < 1 or warmup < 0:
        expected, found = "a segment of at least 1 step, a warm-up of at least 0", f"segment={segment}, warmup={warmup}"
        raise ArgumentError("time cannot be cut into such segments", expected=expected, found=found)
    numbers = np.asarray(index, dtype=np.int64)
    columns: list[list[IntArray]] = [[], [], [], []]
    full = np.zeros(len(numbers), dtype=bool)
    for span in spans:
        if span.stop <= span.start:
            continue
        # Positions and absolute numbers differ by a constant within a span. Blocks begin at multiples of `segment` in
        # absolute numbers: a slice of a record is then cut where the whole record is, and gives the same numbers.
        offset = span.start - int(numbers[span.start])
        starts = np.arange(numbers[span.start] // segment, numbers[span.stop - 1] // segment + 1) * segment + offset
        keep_start = np.maximum(starts, span.start)
        stop = np.minimum(starts + segment, span.stop)
        if mode == "windowed":
            # The warm-up counts from the block and not from the first step kept: the first, shorter segment of a span
            # would otherwise have a longer state than the same steps have inside a longer record.
            read_start = np.maximum(starts - warmup, span.start)
            full[span] = np.repeat(starts - warmup >= span.start, stop - keep_start)
            continues = np.zeros(len(starts), dtype=np.int64)
        else:
            read_start = keep_start
            full[span] = np.arange(span.stop - span.start) >= warmup
            # The state is never carried across a gap: the steps between are unknown.
            continues = (keep_start > span.start).astype(np.int64)
        for column, values in zip(columns, (read_start, keep_start, stop, continues), strict=True):
            column.append(values)
    read, keep, ends, carried = (
        np.concatenate(column) if column else np.zeros(0, dtype=np.int64) for column in columns
    )
    return Segmentation(read, keep, ends, carried.astype(bool), full, segment, warmup, mode)
