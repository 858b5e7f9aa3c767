"""What may be wrong with the data: one table of problems with the line that fixes each, and files that mislead."""

from __future__ import annotations

import zipfile
from functools import cache
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from xfaconv import errors


@cache
def _table() -> dict[str, Any]:
    text = resources.files("xfaconv.adapt").joinpath("problems.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def refusal(subject: str, kind: str, found: object, **words: object) -> errors.XFaconvError:
    """Make the error for a problem of the table.

    Parameters
    ----------
    subject, kind : str
        Section and row of ``problems.yaml``.
    found : object
        What was found.
    **words
        What the row leaves open.

    Returns
    -------
    XFaconvError
        Of the type that the row names.

    Examples
    --------
    >>> print(refusal("horizontal", "radians", "rad", role="latitude", name="lat"))
    latitude 'lat' is in radians
      expected: degrees
      found:    rad
      fix:      ds = ds.assign_coords(lat=np.rad2deg(ds['lat']).assign_attrs(units='degrees'))
    """
    section = _table()[subject]
    row = section[kind]
    parts = {part: row[part].format(**words) for part in ("problem", "expected", "fix") if part in row}
    error: type[errors.XFaconvError] = getattr(errors, row.get("error", section["error"]))
    return error(parts.pop("problem"), found=str(found), **parts)


def check_file(path: str | PathLike[str]) -> None:
    """Refuse an archive that is named as if it were the data; xarray fails on it without saying why.

    Parameters
    ----------
    path : str or path-like
        Any path.

    Raises
    ------
    ArgumentError
        If it is a ZIP archive.
    """
    place = Path(path)
    if place.is_file() and place.suffix != ".zip" and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            members = ", ".join(archive.namelist())
        raise refusal("file", "archive", members, name=place.name, path=str(path))
