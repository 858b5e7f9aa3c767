"""What the accessor shows: what was recognised in a Dataset, the model that fits it, and what a call will cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import xarray as xr

from xfaconv.conform import Recognition, recognise
from xfaconv.conform.report import Section, html_report, text_report
from xfaconv.errors import XFaconvError


@dataclass(frozen=True, eq=False)
class Description:
    """What is known of a Dataset before anything is computed.

    Parameters
    ----------
    recognition : Recognition
        What was found, and every problem with the line that fixes it.
    sections : tuple of (str, lines)
        The model and the cost.
    """

    recognition: Recognition
    sections: tuple[Section, ...]

    def __repr__(self) -> str:
        """Give it as text."""
        return text_report(self.recognition, self.sections)

    def _repr_html_(self) -> str:
        return html_report(self.recognition, self.sections)


def describe(ds: xr.Dataset) -> Description:
    """Say what was recognised, which model fits and what a call will cost; computes nothing.

    Parameters
    ----------
    ds : Dataset
        Anything; what stands in the way is listed, not raised.

    Returns
    -------
    Description
        With a text and an HTML repr, as ``ds.faconv`` shows it.

    Raises
    ------
    ArgumentError
        If `ds` is not a Dataset.

    Examples
    --------
    >>> import xfaconv
    >>> describe(xfaconv.tutorial.open_dataset("ncep-oisst"))
    faconv: 5 variables recognised, ready
    ...
    """
    from xfaconv.engine import plan

    recognition = recognise(ds)
    if recognition.problems:
        return Description(recognition, ())
    try:
        cost = plan(ds)
    except XFaconvError as problem:
        return Description(replace(recognition, problems=(problem,)), ())
    return Description(recognition, (("Model and cost", str(cost).splitlines()),))
