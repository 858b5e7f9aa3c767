"""What the accessor shows: what was recognised in a Dataset, the model and the cost; or what checks have found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xarray as xr

from xfaconv.adapt import Survey
from xfaconv.adapt.survey import survey
from xfaconv.errors import XFaconvError
from xfaconv.formatting import Row, html_box, html_section, text_section

if TYPE_CHECKING:
    from xfaconv.engine import Plan


@dataclass(frozen=True, eq=False)
class Description:
    """What is known of a Dataset before anything is computed.

    Parameters
    ----------
    survey : Survey
        What was found, and every problem with the line that fixes it.
    plan : Plan or None
        The model that fits and what a call costs; None while there are problems.
    """

    survey: Survey
    plan: Plan | None

    def __repr__(self) -> str:
        """Give it as text."""
        return "\n".join(str(part) for part in (self.survey, self.plan) if part is not None)

    def _repr_html_(self) -> str:
        parts = [self.survey._repr_html_()]
        if self.plan is not None:
            parts.append(self.plan._repr_html_())
        return f"<div>{''.join(parts)}</div>"


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What the checks of an attention map say, to be read at a glance.

    Parameters
    ----------
    title : str
        What was checked.
    verdicts : tuple of (str, bool, str)
        Check, whether it is passed, and its sentence; empty while nothing is computed.
    claim : str
        What may be claimed; empty where a single check was run.
    """

    title: str
    verdicts: tuple[tuple[str, bool, str], ...]
    claim: str = ""

    def _rows(self) -> list[Row]:
        if not self.verdicts:
            return [("not computed", "the checks run with .compute()")]
        return [(f"{'passed' if passed else 'FAILED'}: {name}", text) for name, passed, text in self.verdicts]

    def __repr__(self) -> str:
        """Give it as text."""
        return text_section(self.title, [*([("claim", self.claim)] if self.claim else []), *self._rows()])

    def _repr_html_(self) -> str:
        passed = sum(good for _, good, _ in self.verdicts)
        count = f"{passed} of {len(self.verdicts)} checks passed" if self.verdicts else "not computed"
        sections = [html_section("what may be claimed", [("claim", self.claim)])] if self.claim else []
        return html_box(self.title, count, [*sections, html_section("checks", self._rows())])


def _verdicts(ds: xr.Dataset) -> Verdicts:
    """Read the verdicts of a result of the checks; of a lazy one only that there are some."""
    latitude, longitude = ds.attrs.get("base_latitude"), ds.attrs.get("base_longitude")
    where = "" if latitude is None or longitude is None else f" from {latitude:g}, {longitude:g}"
    title = f"Checks of attention{where}" + (f", {ds.attrs['model']}" if "model" in ds.attrs else "")
    parts = [ds[name] for name in ("passed", "verdict", "claim") if name in ds]
    if any(part.chunks is not None for part in parts):
        return Verdicts(title, ())
    names = [str(name) for name in ds["check"].values] if "check" in ds.coords else ["check"]
    passed, sentences = ds["passed"].values.ravel().tolist(), ds["verdict"].values.ravel().tolist()
    rows = tuple((name, bool(good), str(text)) for name, good, text in zip(names, passed, sentences, strict=True))
    return Verdicts(title, rows, str(ds["claim"].item()) if "claim" in ds else "")


def describe(ds: xr.Dataset) -> Description | Verdicts:
    """Say what was recognised, which model fits and what a call will cost; computes nothing.

    Parameters
    ----------
    ds : Dataset
        Anything; what stands in the way is listed, not raised. A result of `xfaconv.check_attention`, or of one of the
        single checks, is shown as its verdicts.

    Returns
    -------
    Description or Verdicts
        With a text and an HTML repr, as ``ds.faconv`` shows it.

    Examples
    --------
    >>> import xfaconv
    >>> describe(xfaconv.tutorial.open_dataset("ncep-oisst"))
    faconv: 5 variables recognised, ready
    ...
    """
    if isinstance(ds, xr.Dataset) and {"passed", "verdict"} <= set(ds.data_vars):
        return _verdicts(ds)
    try:
        found = survey(ds)
    except XFaconvError as problem:
        return Description(Survey(xr.Dataset(), problems=(problem,)), None)
    if found.problems:
        return Description(found, None)
    from xfaconv.engine.planning import plan_of
    from xfaconv.engine.prepare import prepare

    try:
        return Description(found, plan_of(prepare(found, {})))
    except XFaconvError as problem:
        return Description(replace(found, problems=(problem,)), None)
