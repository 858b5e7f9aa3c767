"""Where a base point looks beside what it correlates with: attention and a lagged correlation map in one Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import xarray as xr

from xfaconv.analysis.axes import cell_area
from xfaconv.analysis.patterns import pattern_correlation
from xfaconv.analysis.places import great_circle
from xfaconv.analysis.seasons import in_season, season_months
from xfaconv.analysis.significance import Null
from xfaconv.analysis.teleconnections import correlation_map
from xfaconv.arguments import Arguments, as_place, check_arguments, shared_arguments
from xfaconv.engine.api import attention_of, conformed_of
from xfaconv.engine.prepare import prepare
from xfaconv.errors import TimeError, VariableError

# Around the base point every field correlates with itself and every network looks: that is no teleconnection.
_NEAR = 15.0


@shared_arguments
def teleconnection(
    ds: xr.Dataset,
    base_point: tuple[float, float],
    *,
    variable: str | None = None,
    lag: int = 0,
    season: str | Sequence[int] | None = None,
    null: Null = "effective",
    surrogates: int = 999,
    seed: int = 0,
    alpha: float = 0.05,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Compare where a base point looks with what it correlates with.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    base_point : (latitude, longitude)
        The place [degrees].
    variable : str, optional
        The model's name of the variable that is correlated. Default: the model's first.
    lag : int
        Steps by which the field comes before the base point in the correlation; negative: after it. Attention has no
        lag: its map is the same for any.
    season : str or sequence of int, optional
        Season of the base point, such as ``"DJF"``.
    null : {"effective", "phase"}
        Null of the correlation, see `correlation_map`; with "phase" no p-value is below ``1 / (surrogates + 1)``, and
        a few linked cells among many cannot pass the false discovery rate unless many surrogates are drawn.
    surrogates, seed : int
        Of the phase-randomised null.
    alpha : float
        False discovery rate over the domain.
    **arguments
        Of `xfaconv.attention`.

    Returns
    -------
    Dataset (latitude, longitude)
        ``attention``: the mean share of attention over the season; ``attention_density``: the same per area, 1 being
        no preference; ``correlation``, ``effective_sample_size``, ``p_value``, ``adjusted_p_value``, ``significant``
        and ``number_of_tests`` of the standardised anomalies of the variable; ``pattern_correlation``: area-weighted
        rank correlation of the density with the size of the correlation, farther than 15 degrees from the base
        point. Attrs give alpha, the domain and its number of cells. Lazy if the data are.

    Raises
    ------
    VariableError
        If the model has no such variable.
    TimeError
        If no step of the season is warmed up.
    XFaconvError
        If data or arguments cannot be used.

    Examples
    --------
    >>> out = teleconnection(ds, (0, -140), variable="z500", season="DJF")  # doctest: +SKIP
    >>> float(out.pattern_correlation)  # doctest: +SKIP
    """
    latitude, longitude = as_place(base_point)
    check_arguments(variable=variable, lag=lag, null=null, surrogates=surrogates, seed=seed, alpha=alpha)
    season_months(season)
    ready = prepare(ds, arguments)
    fields = conformed_of(ready)
    names = [str(name) for name in fields.data_vars]
    chosen = names[0] if variable is None else variable
    if chosen not in names:
        raise VariableError(
            f"the model has no variable '{chosen}'", expected=", ".join(names), fix=f"variable='{names[0]}'"
        )
    # First, because it is cheap and refuses what cannot be used: the network has not run by then.
    correlated = correlation_map(
        fields[chosen],
        (latitude, longitude),
        lag=lag,
        season=season,
        null=null,
        surrogates=surrogates,
        seed=seed,
        alpha=alpha,
        deseasonalise=False,
    )
    maps = attention_of(ready, latitude, longitude)
    time = str(maps["full_warmup"].dims[0])
    warm = np.asarray(maps["full_warmup"].values, dtype=bool)
    used = warm & in_season(maps[time], season)
    if not used.any():
        raise TimeError(
            "no step of the season has its whole warm-up inside the data",
            expected=f"steps in {season or 'the year'} after the warm-up",
            found=f"{maps.sizes[time]} steps",
            fix="give a longer record",
        )
    mean = maps.isel({time: used}).mean(time)
    area = cell_area(mean)
    density = (mean / area * area.sum()).astype(np.float32)
    far = great_circle(mean, *base_point) > _NEAR
    likeness = pattern_correlation(density, abs(correlated.correlation), kind="rank", where=far)
    out = correlated.assign(
        attention=mean.assign_attrs(maps.attrs),
        attention_density=density.assign_attrs(long_name="attention per area, 1 without preference", units="1"),
        pattern_correlation=likeness.assign_attrs(
            long_name="rank correlation of attention density with the size of the correlation, beyond 15 degrees",
            units="1",
        ),
    )
    kept = {name: value for name, value in maps.attrs.items() if name not in ("long_name", "units")}
    return out.drop_vars(["base_latitude", "base_longitude", "full_warmup"], errors="ignore").assign_attrs(
        {**kept, **correlated.attrs, "variable": chosen, "lag": lag, "season": "all" if season is None else str(season)}
    )
