"""What a base point attends to, beside what it correlates with."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import xarray as xr

from xfaconv.analysis.axes import cell_area, distance_from
from xfaconv.analysis.explanation.network_probe import density
from xfaconv.analysis.statistics.correlation import Null, correlation_map, pattern_correlation
from xfaconv.analysis.statistics.seasons import Season, covered, season_months, season_name, steps_of_season
from xfaconv.arguments import Arguments, Place, as_place, check_arguments, shared_arguments
from xfaconv.engine.api import attention_of, conformed_of
from xfaconv.engine.prepare import prepare
from xfaconv.errors import VariableError
from xfaconv.grid import nearest_cell

# Around the base point every field correlates with itself and every network attends: that is no teleconnection.
_NEAR = 15.0


@shared_arguments
def compare_attention(
    ds: xr.Dataset,
    base_point: Place,
    *,
    variable: str | None = None,
    lag: int = 0,
    season: Season = None,
    null: Null = "effective",
    surrogates: int = 999,
    seed: int = 0,
    alpha: float = 0.05,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Compare what a base point attends to with what it correlates with.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    base_point : (latitude, longitude)
        The place [degrees].
    variable : str, optional
        The model's name of the variable that is correlated. Default: the model's first that has values there.
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
        Of `xfaconv.attention`. ``time`` chooses the steps whose attention is averaged; the correlation is that of the
        whole record.

    Returns
    -------
    Dataset (latitude, longitude)
        ``attention``: the mean share of attention over the season; ``attention_density``: the same per area, relative
        to uniform attention; ``correlation``, ``effective_sample_size``, ``p_value``, ``adjusted_p_value``,
        ``significant`` and ``number_of_tests`` of the standardised anomalies of the variable;
        ``pattern_correlation``: area-weighted rank correlation of the density with the size of the correlation,
        farther than 15 degrees from the base point. Attrs give alpha, the domain and its number of cells. Lazy if the
        data are.

    Raises
    ------
    VariableError
        If the model has no such variable.
    MissingDataError
        If the variable has no values at the base point, such as sea surface temperature on land.
    TimeError
        If no step of the season has its whole warm-up inside the data.
    XFaconvError
        If data or arguments cannot be used.

    Examples
    --------
    >>> out = compare_attention(ds, (0, -140), variable="z500", season="DJF")  # doctest: +SKIP
    >>> float(out.pattern_correlation)  # doctest: +SKIP
    """
    point = as_place(base_point)
    check_arguments(variable=variable, lag=lag, null=null, surrogates=surrogates, seed=seed, alpha=alpha)
    season_months(season)
    ready = prepare(ds, arguments)
    fields = conformed_of(ready)
    names = [str(name) for name in fields.data_vars]
    cell = nearest_cell(ready.grid, *point)
    with_values = [name for name in names if not ready.lacks_values(name)[cell]] if variable is None else []
    chosen = next(iter(with_values or names)) if variable is None else variable
    if chosen not in names:
        fix = f"variable='{names[0]}'"
        raise VariableError(f"the model has no variable '{chosen}'", expected=", ".join(names), fix=fix)
    ready.require_values(chosen, cell)
    # First, because it is cheap and refuses what cannot be used: the network has not run by then.
    correlated = correlation_map(
        fields[chosen],
        point,
        lag=lag,
        season=season,
        null=null,
        surrogates=surrogates,
        seed=seed,
        alpha=alpha,
        deseasonalise=False,
    )
    if ready.cold is not None:
        raise ready.cold
    maps = attention_of(ready, *point)
    time = str(maps["full_warmup"].dims[0])
    warm = np.asarray(maps["full_warmup"].values, dtype=bool)
    used = steps_of_season(maps[time], season, warm, among="with its whole warm-up inside the data")
    mean = maps.isel({time: used}).mean(time)
    per_area = (density(mean) * cell_area(mean).sum()).astype(np.float32)
    far = distance_from(mean, point) > _NEAR
    likeness = pattern_correlation(per_area, abs(correlated.correlation), kind="rank", where=far)
    out = correlated.assign(
        attention=mean.assign_attrs(maps.attrs, **covered(maps[time][used], season)),
        attention_density=per_area.assign_attrs(
            long_name="attention per area relative to uniform attention", units="1"
        ),
        pattern_correlation=likeness.assign_attrs(
            long_name="rank correlation of attention density with the size of the correlation, beyond 15 degrees",
            units="1",
        ),
    )
    own = {"variable": chosen, "lag": lag, "season": season_name(season)}
    shared = {name: value for name, value in maps.attrs.items() if name not in ("long_name", "units")}
    out = out.drop_vars(["base_latitude", "base_longitude", "full_warmup"], errors="ignore")
    return out.assign_attrs({**shared, **correlated.attrs, **own})
