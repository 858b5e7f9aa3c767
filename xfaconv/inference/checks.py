"""Whether an attribution comes from what the network learned, and from what is in the data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import xarray as xr

from xfaconv.analysis.axes import cell_area, time_axis
from xfaconv.analysis.explanation.checks import MOST_SIMILAR, Verdict, with_verdict
from xfaconv.analysis.explanation.network_probe import shuffled_copy
from xfaconv.analysis.statistics.correlation import pattern_correlation
from xfaconv.analysis.statistics.surrogates import phase_randomised
from xfaconv.arguments import Arguments, check_arguments, seed_attribute, shared_arguments
from xfaconv.engine.dates import show_date, steps_at
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.errors import TimeError
from xfaconv.inference.areas import Area
from xfaconv.inference.contributions import explain
from xfaconv.inference.phases import Phases
from xfaconv.inference.targets import Target, find_target
from xfaconv.models import Model

CHECKS = ("parameters", "data")
_PARTS = ("attention_module", "core", "read_out", "located_read_out", "interpolation")
# Steps of each phase that are asked again with shuffled weights, and on surrogates of the data.
MOST_CHECKED = 4
_VERDICT = ("passed", "verdict")
_SAID = {"parameters": "of shuffled weights", "data": "on phase-randomised data"}


@shared_arguments
def check_attribution(
    ds: xr.Dataset,
    target: Area,
    variable: str,
    first: Any,
    second: Any,
    *,
    hide: Area | None = None,
    lead: int | None = None,
    seed: int = 0,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Check whether the difference of attributions between two groups of dates needs the trained weights and the data.

    With shuffled weights the map of the difference must become another one; in data with the same spectra but without
    relations between far regions and between variables, under the same dates, too.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    target, variable, hide, lead : object
        See `xfaconv.attribution`.
    first, second : label, slice or sequence of labels
        Dates of the two groups, such as El Niño and La Niña winters.
    seed : int
        Seed of the shuffles and of the phases.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Dataset
        ``difference`` (latitude, longitude): mean attribution of the first group minus that of the second, summed over
        the variables, and ``value_difference``, in the units of the variable; ``similarity`` (check): correlation of
        the map, per area, with that of shuffled weights and on phase-randomised data, and ``checked_difference``
        (check) of the value there; ``passed`` and ``verdict`` (check). A check is passed if its similarity is at most
        0.5.

    Raises
    ------
    TimeError
        If a date is not in the record or has no whole warm-up.
    XFaconvError
        As `xfaconv.attribution`.

    Examples
    --------
    >>> check_attribution(ds, (30, 60, 170, 220), "z500", ["1998-01"], ["1989-01"], lead=1)  # doctest: +SKIP
    """
    check_arguments(seed=seed)
    ready = prepare(ds, arguments)
    stamps = ready.conformed.time.values
    groups = [steps_at(stamps, dates, name) for dates, name in ((first, "first"), (second, "second"))]
    steps = np.concatenate(groups)
    warm = ready.segments.full_warmup
    for group, name in zip(groups, ("first", "second"), strict=True):
        if not warm[group].all():
            if ready.cold is not None and not warm.any():
                raise ready.cold
            good = show_date(stamps[np.flatnonzero(warm)[0]])
            raise TimeError(
                f"a date of {name}= has no whole warm-up", found=f"the first: {good}", fix=f"{name}='{good}'"
            )
    ready = replace(ready, steps=steps)
    cases = {"plain": ready} | destroyed(ready, seed)
    maps, values = {}, {}
    for name, case in cases.items():
        found = explain(find_target(case, target, variable, hide, lead))
        time = time_axis(found)
        parts = [slice(0, len(groups[0])), slice(len(groups[0]), None)]
        one, other = (found.isel({time: part}).mean(time) for part in parts)
        maps[name] = (one.attribution - other.attribution).sum("variable")
        values[name] = one.value - other.value
    units = {"units": found["value"].attrs["units"]}
    names = xr.Variable("check", list(CHECKS))
    similarity = xr.concat([likeness(maps["plain"], maps[name]) for name in CHECKS], names, join="exact")
    out = xr.Dataset({"difference": maps["plain"].assign_attrs(long_name="difference of the attributions", **units)})
    out["value_difference"] = values["plain"].assign_attrs(long_name="difference of the values", **units)
    out["similarity"] = similarity.assign_attrs(long_name="correlation with the map that must differ", units="1")
    out["checked_difference"] = xr.concat([values[name] for name in CHECKS], names, join="exact")
    out["checked_difference"].attrs = {"long_name": "difference of the values where it must vanish", **units}
    out = out.assign_coords(check=names)
    out = out.assign(judged(similarity).data_vars)
    return out.assign_attrs({**found.attrs, "seed": seed_attribute(seed)})


def destroyed(ready: Prepared, seed: int) -> dict[str, Prepared]:
    """Shuffle the weights, or the phases of the data: in both the difference of two composites must become another.

    Parameters
    ----------
    ready : Prepared
        The data, the model, and the steps of the composites.
    seed : int
        Seed of the shuffles and of the phases.

    Returns
    -------
    dict of str to Prepared
        One for each of ``CHECKS``.
    """
    card = ready.model.card
    shuffled = Model.from_network(card, shuffled_copy(ready.model.network(), _PARTS, seed), ready.model.climatology)
    data = ready.conformed.data
    made = phase_randomised(data.fillna(0), seed=seed).where(data.notnull())
    return {
        "parameters": replace(ready, choice=replace(ready.choice, model=shuffled)),
        "data": replace(ready, conformed=replace(ready.conformed, data=made)),
    }


def likeness(one: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """Correlation of two maps of contributions per area, weighted by area."""
    first, second = (each / cell_area(each) for each in (one, other))
    return pattern_correlation(first, second)


def check_difference(
    goal: Target, parts: xr.Dataset, phases: Phases, method: str, repeats: int, seed: int
) -> xr.Dataset:
    """Check the difference of the contributions in two phases on a few steps of each.

    Parameters
    ----------
    goal : Target
        The value that is explained.
    parts : Dataset
        Contributions at the steps of both phases.
    phases : Phases
        Which steps belong to which phase.
    method : str
        How the value is divided.
    repeats : int
        Shuffles of the weights, and surrogates of the data.
    seed : int
        Seed of the first.

    Returns
    -------
    Dataset
        ``check_similarity``, ``check_passed`` and ``check_verdict`` (check); empty without repetitions. Lazy if the
        data are.
    """
    if not repeats:
        return xr.Dataset()
    few = phases.at_most(MOST_CHECKED)

    def difference(found: xr.Dataset) -> xr.DataArray:
        return few.composites(found["attribution"].sum("variable")).isel(phase=-1, drop=True)

    plain = difference(parts.isel({time_axis(parts): np.searchsorted(phases.both, few.both)}))
    rows = []
    for repeat in range(repeats):
        cases = destroyed(goal.at(few.both).ready, (seed + repeat) % 2**32)
        maps = {name: difference(explain(replace(goal, ready=case), method)) for name, case in cases.items()}
        rows.append(xr.concat([likeness(plain, maps[name]) for name in CHECKS], "check", join="exact"))
    similarity = rows[0] if repeats == 1 else abs(xr.concat(rows, "repeat", join="exact")).mean("repeat")
    similarity = similarity.assign_coords(check=list(CHECKS))
    out = judged(similarity).rename(passed="check_passed", verdict="check_verdict")
    words = "correlation of the map of the difference with the one that must differ"
    words += "" if repeats == 1 else f", mean size over {repeats} repetitions"
    return out.assign(check_similarity=similarity.assign_attrs(long_name=words, units="1"))


def judged(similarity: xr.DataArray) -> xr.Dataset:
    """Say of each check whether it is passed (``passed`` and ``verdict``, along ``check``)."""
    parts = [
        with_verdict(xr.Dataset(), [similarity.isel(check=number, drop=True)], _judge(name))
        for number, name in enumerate(CHECKS)
    ]
    names = xr.Variable("check", list(CHECKS))
    return xr.Dataset({kind: xr.concat([part[kind] for part in parts], names, join="exact") for kind in _VERDICT})


def _judge(name: str) -> Any:
    def judge(similarity: float) -> Verdict:
        good = abs(similarity) <= MOST_SIMILAR
        what = "the trained weights" if name == "parameters" else "the data"
        text = f"correlation {similarity:+.2f} with the difference {_SAID[name]} (at most {MOST_SIMILAR} required)"
        return good, f"{'depends' if good else 'does not depend'} on {what}: {text}"

    return judge
