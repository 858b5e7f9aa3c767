"""The line that brings data to a coarser step: means of states and rates, sums of what is accumulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xfaconv.names.tables import entries
from xfaconv.names.units import STEP_SECONDS, is_amount

if TYPE_CHECKING:
    from xfaconv.adapt.survey import Survey

_RULES: Mapping[str, str] = {"1M": "1MS"}


def is_finer(step: str, wanted: str) -> bool:
    """Whether one step can be averaged to another.

    Examples
    --------
    >>> is_finer("1h", "1D"), is_finer("1M", "1D"), is_finer("5D", "7D")
    (True, False, False)
    """
    if wanted == "1M":
        return step not in ("1M", "5D", "7D")
    seconds, whole = STEP_SECONDS.get(step), STEP_SECONDS[wanted]
    return seconds is not None and seconds < whole and whole % seconds == 0


def resampling_line(found: Survey, wanted: str) -> str:
    """Write the line that brings data to a coarser step.

    Parameters
    ----------
    found : Survey
        What was found in the data, their time axis among it.
    wanted : str
        The step, such as "1D".

    Returns
    -------
    str

    Examples
    --------
    >>> import xfaconv
    >>> resampling_line(xfaconv.recognise(xfaconv.tutorial.open_dataset("amip")[["t2m"]]), "1M")
    "ds = ds.resample(time='1MS').mean(keep_attrs=True)"
    """
    _, stamps, time = found.usable()
    dim = stamps.coordinate.dim or stamps.coordinate.name
    rule = _RULES.get(wanted, wanted)
    summed = [
        variable.name
        for variable in found.variables
        if entries()[variable.key].kind in ("water", "energy", "flux") and is_amount(variable.units)
    ]
    mean = f".resample({dim}={rule!r}).mean(keep_attrs=True)"
    # Where the intervals of the data say when a step is, the stamps have to say it too before they are grouped.
    line = (f"ds = ds{time.restamp}; " if time.restamp else "") + f"ds = ds{mean}"
    # Monthly means hold the amount of a day, as ERA5's do: daily amounts are averaged, finer ones summed to days first.
    day = "1D" if wanted == "1M" else rule
    if summed and time.step != day:
        # Without min_count a step without any data would become 0.
        sums = f"ds[{summed}].resample({dim}={day!r}).sum(min_count=1, keep_attrs=True)"
        line += f".assign({sums}{mean if day != rule else ''})"
    return line + (f".dropna({dim!r}, how='all')" if len(time.spans) > 1 else "")
