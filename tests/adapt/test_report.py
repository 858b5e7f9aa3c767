"""What people see: text and HTML, with every problem, nothing that runs, and nothing that could break the page."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapt.dialects import DEFAULT, replace, target, tell
from tests.conftest import raise_if_dask_computes
from xfaconv.adapt import recognise


class Outline(HTMLParser):
    """Tags in balance, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(html):
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def test_the_text_of_a_dataset_that_is_ready():
    ds = tell(replace(DEFAULT, north_to_south=True, units=(("t2m", "degC"), ("z", "m"), ("msl", "hPa"), ("tp", "mm"))))
    ds["mystery"] = ds.t2m * 1
    ds = ds.isel(time=[0, 1, 2, 5, 6])
    assert repr(recognise(ds, target())) == (
        "faconv: 4 variables recognised, ready\n"
        "Variables\n"
        "    t2m: t2m [degC] by name\n"
        "    z: z at 850, 500, 250 hPa [m] by name\n"
        "    msl: msl [hPa] by name\n"
        "    tp: tp [mm] by name\n"
        "Not recognised\n"
        "    mystery\n"
        "Grid\n"
        "    global, 8 x 16 (22.5 x 22.5 degrees), longitude periodic\n"
        "Time\n"
        "    daily, 5 steps from 2001-02-25T12:00 to 2001-03-03T12:00, calendar proleptic_gregorian, 1 gap\n"
        "    2 spans without a gap, the longest of 3 daily steps\n"
        "Coordinates\n"
        "    latitude: latitude by CF attributes\n"
        "    longitude: longitude by CF attributes\n"
        "    time: time by known name\n"
        "Notes\n"
        "    latitude 'latitude' runs from north to south\n"
        "    longitude 'longitude' in the convention 0 to 360\n"
        "    longitude closes around the globe\n"
        "For this model\n"
        "    t2m [K] from t2m: degC to K\n"
        "    z500 [m2 s-2] from z: m to m2 s-2 with g = 9.80665 m s-2\n"
        "    msl [Pa] from msl: hPa to Pa\n"
        "    tp [m] from tp: mm to m"
    )


def test_every_problem_is_told_at_once_with_its_fix():
    ds = tell(replace(DEFAULT, chunks=(3, 4, 5))).drop_vars("msl").isel(time=slice(None, None, -1))
    ds["t2m"] = ds.t2m.drop_attrs()
    ds["latitude"] = np.deg2rad(ds.latitude).assign_attrs(units="radians")
    with raise_if_dask_computes():
        found = recognise(ds, target())
    text = repr(found)
    assert text.startswith("faconv: 0 variables recognised, 2 problems")
    for words in ("Problem 1", "is in radians", "np.rad2deg", "Problem 2", "is not sorted", "ds = ds.sortby('time')"):
        assert words in text
    corrected = ds.assign_coords(latitude=np.rad2deg(ds.latitude).assign_attrs(units="degrees_north")).sortby("time")
    text = repr(recognise(corrected, target()))
    for words in ("variable 't2m' has no units", "the data lack 'msl'", "absent='climatology'"):
        assert words in text


def test_html_folds_escapes_and_runs_nothing():
    ds = tell(DEFAULT).rename(tp="<script>alert('rain')</script>", msl="a <b>bold</b> claim")
    found = recognise(ds, target())
    html = found._repr_html_()
    parsed = outline(html)
    tags = [tag for tag, _ in parsed.tags]
    assert tags.count("details") >= 6
    assert not {"script", "b", "iframe", "img", "link"} & set(tags)
    assert not any(key.startswith("on") or key in ("src", "href") for _, attrs in parsed.tags for key in attrs)
    text = " ".join(parsed.text)
    assert "<script>alert('rain')</script>" in text
    assert "a <b>bold</b> claim" in text
    assert "Notes" in text  # but no heading without lines
    assert "Not recognised (0)" not in text
    assert "currentColor" in html  # the colours of the page, light or dark
    assert all(problem.fix in text for problem in found.problems)


@settings(max_examples=40, deadline=None)
@given(west=st.integers(-180, 179), columns=st.integers(4, 30), start=st.sampled_from([0, -180]))
def test_a_region_is_described_with_the_longitudes_of_the_file(west: int, columns: int, start: int) -> None:
    """Whatever the convention, and wherever its seam lies."""
    longitude = (west + 5.0 * np.arange(columns) - start) % 360 + start
    ds = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), np.zeros((2, 3, columns)), {"units": "K"})},
        {"time": xr.date_range("2000-01-01", periods=2), "lat": [0.0, 5.0, 10.0], "lon": longitude},
    )
    said = repr(recognise(ds))
    first, last = longitude[0], longitude[-1]
    between = "eastward to" if first > last else "to"
    assert f"0 to 10 N, {first:g} {between} {last:g} E, 3 x {columns}" in said
