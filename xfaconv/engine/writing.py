"""Writes a lazy result to Zarr part by part, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from dask.diagnostics.progress import ProgressBar

from xfaconv.arguments import check_arguments
from xfaconv.errors import ArgumentError, DependencyError, XFaconvError

if TYPE_CHECKING:
    import zarr

# The name is not in the consolidated metadata: readers of a half-written store do not see it.
_MARKS = "_xfaconv_written"
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}
_IDENTIFYING = ("model", "weights_sha256", "grid", "segment", "warmup", "run_mode", "missing_values", "normalisation")


def write_zarr(
    result: xr.Dataset | xr.DataArray, store: Any, *, blocks_per_part: int = 16, progress: bool = False
) -> None:
    """Write a lazy result part by part; call it again with the same result to go on after an interruption.

    Parts that are in the store are neither read nor computed again. A part that fails is taken block by block, so that
    a corrupt part of the data costs only the blocks that read it; all others are written before the error is raised.
    Segments that lie across two parts are run for both.

    Parameters
    ----------
    result : Dataset or DataArray
        As the functions of this package give it, with dask arrays.
    store : path-like or zarr store
        Where to. It must be new, or an unfinished result of the same call on the same times.
    blocks_per_part : int, default 16
        Blocks of time (one block is as long as a segment) that are computed and marked together.
    progress : bool, default False
        Show dask's progress bar for each part.

    Raises
    ------
    DependencyError
        If zarr is not installed.
    ArgumentError
        If the result is not lazy, or the store holds something else.
    XFaconvError
        If parts could not be computed or written, naming their time ranges; what could be written is there.

    Examples
    --------
    Interrupted or not, the last line is the same:

    >>> import tempfile, xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst").isel(time=slice(0, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_zarr(xfaconv.embed(ds), f"{folder}/embeddings.zarr")
    ...     xr.open_zarr(f"{folder}/embeddings.zarr").embeddings.sizes["time"]
    2
    """
    check_arguments(blocks_per_part=blocks_per_part, progress=progress)
    data = _as_dataset(result)
    dimension, edges = _blocks(data)
    marks = _begin(data, store, dimension, len(edges) - 1)
    if marks is None:
        return
    bare = data.drop_vars(list(data.coords))
    failures: list[tuple[int, int, Exception]] = []
    for first, last in _parts(np.asarray(marks[:]), blocks_per_part):
        problem = _write(bare, store, dimension, edges, marks, first, last, progress)
        if problem is None:
            continue
        if last - first == 1:
            failures.append((first, last, problem))
            continue
        for block in range(first, last):
            problem = _write(bare, store, dimension, edges, marks, block, block + 1, progress)
            if problem is not None:
                failures.append((block, block + 1, problem))
    if failures:
        raise _incomplete(data, dimension, edges, failures, store) from failures[0][2]
    _finish(store)


def _refused(
    problem: str,
    found: object,
    expected: str = "a path or a zarr store",
    fix: str = "store='new.zarr'",
) -> ArgumentError:
    return ArgumentError(problem, expected=expected, found=str(found)[:300], fix=fix)


def _as_dataset(result: xr.Dataset | xr.DataArray) -> xr.Dataset:
    data = result
    if isinstance(result, xr.DataArray):
        data = result.to_dataset(name="result" if result.name is None else result.name)
    if isinstance(data, xr.Dataset) and not any(variable.chunks for variable in data.data_vars.values()):
        lazy = "a lazy result, from a Dataset that was opened with chunks"
        raise _refused("the result is already in memory", "no dask array", lazy, 'result.to_zarr("result.zarr")')
    if not isinstance(data, xr.Dataset) or "full_warmup" not in data.coords:
        known = "a Dataset or DataArray with a coordinate 'full_warmup'"
        raise _refused("this is not a result of this package", type(result).__name__, known, "result=ds.faconv.embed()")
    return data


def _blocks(data: xr.Dataset) -> tuple[str, list[int]]:
    """Find the time dimension and the edges of its blocks."""
    dimension = str(data.full_warmup.dims[0])
    chunks = data.unify_chunks().chunks[dimension]
    return dimension, [0, *np.cumsum(chunks).tolist()]


def _begin(data: xr.Dataset, store: Any, dimension: str, blocks: int) -> zarr.Array[Any] | None:
    """Lay out a new store, or find the marks of an unfinished one; None where it is complete."""
    try:
        import zarr
    except ImportError as problem:
        raise DependencyError("write_zarr needs the package zarr", fix="pip install zarr") from problem
    if store is None:
        # zarr would take None for a new store in memory each time.
        raise _refused("there is no store to write to", store)
    identity = _identity(data, dimension)
    try:
        group = zarr.open_group(store, mode="r+", use_consolidated=False)
    except TypeError as problem:
        raise _refused("the store is none that zarr knows", repr(store)) from problem
    except (FileNotFoundError, NotADirectoryError):
        try:
            data.to_zarr(store, mode="w-", compute=False)
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as problem:
            raise _refused("no store can be made here", f"{store!r}: {problem}", "a new path") from problem
        group = zarr.open_group(store, mode="r+", use_consolidated=False)
        _miss_what_is_not_written(group, data)
        marks = group.create_array(_MARKS, shape=(blocks,), chunks=(1,), dtype="int8", fill_value=0)
        # The identity comes last: a store without it was interrupted while being laid out.
        marks.attrs["identity"] = identity
        return marks
    if _MARKS in group:
        found = group[_MARKS]
        if isinstance(found, zarr.Array) and found.attrs.get("identity") == identity:
            return found
    elif set(data.data_vars) <= set(group.array_keys()) and _identity(xr.open_zarr(store), dimension) == identity:
        return None
    raise _refused(
        f"the store {store!s} holds something else",
        ", ".join(sorted(group.array_keys())) or "an empty group",
        "a new store, or an unfinished one of the same result",
        "store='another.zarr'  # or remove the store first",
    )


def _miss_what_is_not_written(group: zarr.Group, data: xr.Dataset) -> None:
    """Make blocks that are not written read as missing; with some versions of xarray and zarr they read as 0."""
    import zarr

    filled = {
        str(name): array
        for name in data.data_vars
        if isinstance(array := group[str(name)], zarr.Array) and array.dtype.kind == "f" and array.fill_value == 0
    }
    for name, array in filled.items():
        group.create_array(
            name,
            shape=array.shape,
            chunks=array.chunks,
            dtype=array.dtype,
            fill_value=np.nan,
            attributes=dict(array.attrs),
            dimension_names=[str(dim) for dim in data[name].dims],
            overwrite=True,
        )
    if filled:
        zarr.consolidate_metadata(group.store, path=group.path)


def _identity(data: xr.Dataset, dimension: str) -> str:
    """Hash what has to agree before parts of two runs may stand side by side."""
    variables = {
        str(name): [
            [str(entry) for entry in variable.dims],
            [int(length) for length in variable.shape],
            str(variable.dtype),
            [str(variable.attrs.get(entry)) for entry in _IDENTIFYING],
        ]
        for name, variable in data.data_vars.items()
    }
    times = [str(stamp) for stamp in data[dimension].values]
    return hashlib.sha256(json.dumps([variables, times], sort_keys=True).encode()).hexdigest()


def _parts(written: np.ndarray[Any, Any], longest: int) -> Iterator[tuple[int, int]]:
    """Give the first and last of blocks in a row that are not written yet.

    Examples
    --------
    >>> list(_parts(np.array([0, 1, 0, 0, 0]), 2))
    [(0, 1), (2, 4), (4, 5)]
    """
    first = 0
    while first < len(written):
        if written[first]:
            first += 1
            continue
        last = first
        while last < len(written) and not written[last] and last - first < longest:
            last += 1
        yield first, last
        first = last


def _write(
    data: xr.Dataset, store: Any, dimension: str, edges: list[int], marks: Any, first: int, last: int, progress: bool
) -> Exception | None:
    """Write some blocks and mark them; give what went wrong, but stop at once where nothing can be written."""
    region = slice(edges[first], edges[last])
    try:
        with ProgressBar() if progress else nullcontext():  # type: ignore[no-untyped-call]
            data.isel({dimension: region}).to_zarr(store, region={dimension: region})
        marks[first:last] = 1
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in _NO_SPACE:
            raise XFaconvError(
                f"the store {store!s} cannot be written any more",
                found=f"{problem.strerror or problem}, after {edges[first]} of {edges[-1]} steps",
                fix="make room and call write_zarr again with the same arguments: it goes on from here",
            ) from problem
        return problem
    return None


def _incomplete(
    data: xr.Dataset, dimension: str, edges: list[int], failures: list[tuple[int, int, Exception]], store: Any
) -> XFaconvError:
    stamps = data[dimension].values
    ranges = [f"{stamps[edges[first]]} to {stamps[edges[last] - 1]}" for first, last, _ in failures]
    cause = failures[0][2]
    return XFaconvError(
        f"{len(failures)} of {len(edges) - 1} blocks could not be computed; all others are in {store!s}",
        expected=f"readable data for {'; '.join(ranges)} and the warm-up before",
        found=f"{type(cause).__name__}: {cause}",
        fix="repair the data and call write_zarr again with the same arguments: it computes only these blocks",
    )


def _finish(store: Any) -> None:
    import zarr

    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    del group[_MARKS]
