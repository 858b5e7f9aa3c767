"""Cut the embedded samples out of the files they come from: ``python scripts/samples.py --data FOLDER``.

The packed integers are copied as they are, so that a sample holds exactly the numbers of its source.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from xfaconv.errors import ArgumentError

_SAMPLES = Path(__file__).resolve().parents[1] / "xfaconv" / "tutorial" / "data"


@dataclass(frozen=True)
class Cut:
    """One sample: its sources, its years, and its attributes."""

    sources: tuple[str, ...]
    start: str
    end: str
    chunk: int
    largest: int
    attributes: dict[str, str]


CUTS = {
    "ncep-oisst": Cut(
        sources=("ncep-oisst-monthly-global-1981-2018.nc",),
        start="2007-01-01",
        end="2018-12-31",
        chunk=12,
        largest=7_000_000,
        attributes={
            "title": "Monthly means on one 2.5 degree grid, 2007 to 2018: sea surface temperature, geopotential height "
            "at 500 and 200 hPa, northward wind at 200 hPa, air temperature at sigma 0.995",
            "source": "sst: NOAA OISST v2; the others: NCEP/NCAR Reanalysis 1",
            "institution": "NOAA Physical Sciences Laboratory, Boulder, Colorado, USA, https://psl.noaa.gov",
            "references": "Reynolds et al. (2002), https://doi.org/10.1175/1520-0442(2002)015<1609:AIISAS>2.0.CO;2; "
            "Kalnay et al. (1996), https://doi.org/10.1175/1520-0477(1996)077<0437:TNYRP>2.0.CO;2",
            "license": "public domain (NOAA data)",
            "comment": "Copies of these data in the source packages easyclimate 2025.3.0 and pyunicorn 1.0.0; their "
            "files of z and v carry no source metadata: NCEP/NCAR is inferred from grid and values",
        },
    ),
    "amip": Cut(
        sources=("amip/amip-daily-5p6deg-2008.nc", "amip/amip-daily-5p6deg-2009.nc"),
        start="2008-12-01",
        end="2009-02-28",
        chunk=30,
        largest=2_000_000,
        attributes={
            "title": "SIMULATION, not observations: daily means of December 2008 to February 2009, 5.625 degrees",
            "source": "SPEEDY-type atmosphere (T30, 8 levels; jcm 3.0.0) under observed monthly sea surface "
            "temperature, averaged conservatively to 5.625 degrees",
            "references": "Molteni (2003), https://doi.org/10.1007/s00382-002-0268-2 (the model's physics)",
            "license": "made for this package, BSD-3-Clause",
            "comment": "The weather of these days is the model's own: only the sea surface temperature was observed",
        },
    ),
}


def make(name: str, data: Path, target: Path) -> Path:
    """Write one sample.

    Parameters
    ----------
    name : str
        A key of ``CUTS``.
    data : Path
        Folder of the sources.
    target : Path
        Folder to write to.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ArgumentError
        If a source is absent, or the file comes out larger than it may be.
    """
    cut = CUTS[name]
    sources = [data / source for source in cut.sources]
    absent = [str(source) for source in sources if not source.is_file()]
    if absent:
        raise ArgumentError(f"the sources of {name!r} are absent", expected=", ".join(absent), fix="--data FOLDER")
    parts = [xr.open_dataset(source, mask_and_scale=False, decode_times=True) for source in sources]
    packing = {variable: parts[0][variable].attrs for variable in parts[0].data_vars}
    for part in parts:
        if any(part[variable].attrs != packing[variable] for variable in packing):
            raise ArgumentError(f"the sources of {name!r} are packed differently")
    sample = xr.concat([part.sel(time=slice(cut.start, cut.end)) for part in parts], "time", data_vars="minimal")
    sample.attrs = {"Conventions": "CF-1.11", **cut.attributes}
    for variable in sample.data_vars:
        size = (cut.chunk, *sample[variable].shape[1:])
        sample[variable].encoding = {"zlib": True, "complevel": 9, "shuffle": True, "chunksizes": size}
    for coordinate in sample.coords:
        sample[coordinate].encoding = {"_FillValue": None}
    sample.time.encoding |= {"units": f"hours since {cut.start}", "calendar": "proleptic_gregorian", "dtype": "int32"}
    path = target / f"{name}.nc"
    sample.to_netcdf(path, engine="netcdf4", format="NETCDF4")
    if (size_in_bytes := path.stat().st_size) > cut.largest:
        raise ArgumentError(f"{path} is too large", expected=f"{cut.largest:,} bytes", found=f"{size_in_bytes:,} bytes")
    return path


def main() -> None:
    """Write all samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sources")
    parser.add_argument("--target", type=Path, default=_SAMPLES, help="folder to write to")
    arguments = parser.parse_args()
    for name in CUTS:
        path = make(name, arguments.data, arguments.target)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
