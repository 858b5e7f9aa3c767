"""What the accessor shows: what was recognised in a Dataset, the model that fits it, and what a call will cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xarray as xr

from xfaconv.conform import Recognition, recognise
from xfaconv.errors import XFaconvError

if TYPE_CHECKING:
    from xfaconv.engine import Plan


@dataclass(frozen=True, eq=False)
class Description:
    """What is known of a Dataset before anything is computed.

    Parameters
    ----------
    recognition : Recognition
        What was found, and every problem with the line that fixes it.
    plan : Plan or None
        The model that fits and what a call costs; None while there are problems.
    """

    recognition: Recognition
    plan: Plan | None

    def __repr__(self) -> str:
        """Give it as text."""
        return "\n".join(str(part) for part in (self.recognition, self.plan) if part is not None)

    def _repr_html_(self) -> str:
        parts = [self.recognition._repr_html_()]
        if self.plan is not None:
            parts.append(self.plan._repr_html_())
        return f"<div>{''.join(parts)}</div>"


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

    Examples
    --------
    >>> import xfaconv
    >>> describe(xfaconv.tutorial.open_dataset("ncep-oisst"))
    faconv: 5 variables recognised, ready
    ...
    """
    try:
        recognition = recognise(ds)
    except XFaconvError as problem:
        return Description(Recognition((), (), (), None, None, None, (), (problem,)), None)
    if recognition.problems:
        return Description(recognition, None)
    from xfaconv.engine import plan

    try:
        return Description(recognition, plan(ds))
    except XFaconvError as problem:
        return Description(replace(recognition, problems=(problem,)), None)
