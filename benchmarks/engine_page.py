"""Writes the results of benchmarks/engine.py as a page of the documentation."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "dask", "distributed", "xarray", "zarr", "xbatcher", "xarray-regrid")


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Give the page in Markdown; parts that were not run are missing from it, and named."""
    lines = [
        "# Cost of the engine",
        "",
        "Written by `python benchmarks/engine.py`: "
        f"{processor()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + ". Packaged model `amip-daily-5p6deg`, or one of its size with 8 variables and random weights (speed and "
        "memory do not depend on the values). Ratios are of times taken in turn in one run, the median of the repeats.",
        "",
        "| what | measured | bar | met | date |",
        "|---|---|---|---|---|",
    ]
    rows = {"overhead": _overhead, "disk": _disk, "xbatcher": _xbatcher, "workers": _workers, "graph": _graph}
    for name, write in rows.items():
        if name in results:
            for what, measured, bar, met in write(results[name]):
                cells = (what, measured, bar, "yes" if met else "**no**", results[name]["date"])
                lines.append(f"| {' | '.join(cells)} |")
    if "memory" in results:
        lines += _memory(results["memory"])
    missing = [name for name in (*rows, "memory") if name not in results]
    lines += ["", "## How", "", *HOW]
    if missing:
        lines += ["", f"Not run for this page: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


STORED = (
    "- *Stored record*: a travelling wave with noise (seed 0), rounded to 1/200 of a standard deviation, float32, "
    "written with Zarr's default compression, one file per variable and block. It is read once before the clock "
    "starts, so it comes from the page cache: a slower disk adds the same time to both sides and brings the ratio "
    "closer to 1."
)
READING = (
    "- *Reading* is the same dask blocks under the same scheduler, each reduced to one value as soon as it is there."
)
XBATCHER = (
    "- *xbatcher*: half of the stored record; windows of 30 days that overlap by 10, loaded by xbatcher, averaged by "
    "xarray-regrid, standardised by numpy, the same network, one call per window; both in fresh processes, imports not "
    "counted. It leaves out the tail that does not fill a window."
)
WORKERS = "- *Workers*: `LocalCluster`, one thread per process, half of the stored record, the better of two runs each."
MEMORY = (
    "- *Memory*: the peak resident memory of a process of its own that makes a record block by block, embeds it and "
    "writes the result to Zarr, with 2 threads. It includes Python, torch and all imports."
)
HOW = (STORED, READING, XBATCHER, WORKERS, MEMORY)
BARS = "the bars: equal within 15 % for all lengths, under 3 GB, and `plan` right within 30 %."


def _overhead(found: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    said = f"{found['ratio']:.2f} times ({found['ours_s']:.2f} s against {found['theirs_s']:.2f} s)"
    what = f"`ds.faconv.embed()` on {found['days']} days in memory, against a torch loop written by hand"
    return [(what, said, "at most 1.10", found["ratio"] <= 1.10)]


def _disk(found: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    said = f"{found['ratio']:.2f} times ({found['ours_s']:.1f} s against {found['theirs_s']:.1f} s)"
    size = f"{found['bytes'] / 1e9:.1f} GB, {found['on_disk'] / 1e9:.1f} GB on disk"
    what = f"{found['days']} days at 0.25 degrees ({size}) from Zarr to embeddings, against reading the same chunks"
    return [(what, said, "at most 1.5", found["ratio"] <= 1.5)]


def _xbatcher(found: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    what = f"{found['days']} of these days, against xbatcher, xarray-regrid and torch"
    said = f"{found['times_faster']:.1f} times faster ({found['ours_s']:.1f} s against {found['theirs_s']:.1f} s)"
    peak = f"{found['ours_peak_MB']} MB against {found['theirs_peak_MB']} MB"
    agree = f"embeddings differ by at most {found['largest_difference']:.1g} in {found['days_that_theirs_gives']} days"
    return [
        (what, f"{said}; {agree}", "at least 3 times", found["times_faster"] >= 3),
        ("peak memory of the two", peak, "a fraction", found["ours_peak_MB"] < found["theirs_peak_MB"] / 2),
    ]


def _workers(found: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    what = f"{found['days']} of these days: 2 worker processes of one thread each, against 1"
    said = f"{found['speed_up']:.2f} times faster ({found['two_s']:.1f} s against {found['one_s']:.1f} s)"
    return [(what, said, "at least 1.7 times", found["speed_up"] >= 1.7)]


def _graph(found: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    what = "building the graph of 350,000 hourly steps of 12 variables"
    return [(what, f"{found['seconds']:.2f} s, {found['tasks']:,} tasks", "under 3 s", found["seconds"] < 3)]


def _memory(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "",
        f"## Memory ({found['date']})",
        "",
        f"8 variables at 0.25 degrees, generated; {BARS}",
        "",
        "| record | blocks of | written by | peak | `plan` | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        cells = (
            f"{row['days']:,} days ({row['days'] * 8 * 721 * 1440 * 4 / 1e9:,.0f} GB)",
            f"{row['block']} days",
            f"`{row['way']}`",
            f"{row['peak'] / 1e6:,.0f} MB",
            f"{row['predicted'] / 1e6:,.0f} MB ({row['predicted'] / row['peak'] - 1:+.0%})",
            f"{row['seconds']:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    peaks = [row["peak"] for row in found["rows"] if row["block"] == 8 and row["way"] == "to_zarr"]
    lines += ["", f"Largest over smallest peak between the lengths: {max(peaks) / min(peaks):.2f}."]
    return lines


def processor() -> str:
    """Name the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
