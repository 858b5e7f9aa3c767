"""The accessor ``ds.faconv``: a shell without state around the functions of `xfaconv`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import xarray as xr

import xfaconv
from xfaconv.errors import AccessorError

if TYPE_CHECKING:
    from xfaconv.engine import Arguments, Plan
    from xfaconv.models import Model

    Choice = Model | str | None

NAME = "faconv"
Place = tuple[float, float]
Points = Mapping[str, Place] | None
Degrees = float | None


class DatasetAccessor:
    """What a FAConvLSTM network sees in this Dataset. Each method is also a function of `xfaconv`.

    Parameters
    ----------
    dataset : Dataset
        Anything like ERA5; it is never changed.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def conform(self, **options: Unpack[Arguments]) -> xr.Dataset:
        """Adapt to the model's variables, units, grid and anomalies: see `xfaconv.conform`."""
        return xfaconv.conform(self._dataset, **options)

    def embed(self, **options: Unpack[Arguments]) -> xr.DataArray:
        """Give one compact vector per time, (time, embedding): see `xfaconv.embed`."""
        return xfaconv.embed(self._dataset, **options)

    def importance(self, *, method: str = "gate", **options: Any) -> xr.DataArray:
        """Say how much each variable matters, (time, variable): see `xfaconv.importance`."""
        return xfaconv.importance(self._dataset, method=method, **options)

    def attention(
        self, latitude: Degrees = None, longitude: Degrees = None, *, base_points: Points = None, heads: bool = False,
        **options: Unpack[Arguments],
    ) -> xr.DataArray:  # fmt: skip
        """Say where a base point looks, (time, latitude, longitude): see `xfaconv.attention`."""
        return xfaconv.attention(
            self._dataset, latitude=latitude, longitude=longitude, base_points=base_points, heads=heads, **options
        )

    def hidden(self, **options: Unpack[Arguments]) -> xr.DataArray:
        """Give the hidden states, (time, channel, latitude, longitude): see `xfaconv.hidden`."""
        return xfaconv.hidden(self._dataset, **options)

    def encode(self, *, base_points: Points = None, heads: bool = False, **options: Unpack[Arguments]) -> xr.Dataset:
        """Give embedding, importance and attention in one pass over the data: see `xfaconv.encode`."""
        return xfaconv.encode(self._dataset, base_points=base_points, heads=heads, **options)

    def plan(self, *, workers: int | None = None, **options: Unpack[Arguments]) -> Plan:
        """Say what a call will cost before it is made: see `xfaconv.plan`."""
        return xfaconv.plan(self._dataset, workers=workers, **options)

    def fit(self, model: Choice = None, **options: Any) -> Model:
        """Train or fine-tune a model on this Dataset: see `xfaconv.fit`."""
        return xfaconv.fit(self._dataset, model, **options)

    def regimes(self, n: int = 4, **options: Any) -> xr.Dataset:
        """Cluster the embeddings into regimes, with scores and significance: see `xfaconv.regimes`."""
        return xfaconv.regimes(self._dataset, n, **options)

    def teleconnection(self, base_point: Place, **options: Any) -> xr.Dataset:
        """Compare where a place looks with what it correlates with: see `xfaconv.teleconnection`."""
        return xfaconv.teleconnection(self._dataset, base_point, **options)

    def check_attention(self, base_point: Place, **options: Any) -> xr.Dataset:
        """Check the attention of a place before believing it: see `xfaconv.check_attention`."""
        return xfaconv.check_attention(self._dataset, base_point, **options)

    def influence(self, base_point: Place | None = None, **options: Any) -> xr.DataArray:
        """Say what a result depends on, to first order, through the whole network: see `xfaconv.influence`."""
        return xfaconv.influence(self._dataset, base_point, **options)

    def plot_attention(
        self, latitude: Degrees = None, longitude: Degrees = None, *, base_points: Points = None, model: Choice = None,
        **style: Any,
    ) -> Any:  # fmt: skip
        """Draw where base points look: `xfaconv.attention`, then `xfaconv.plot_attention` with the style."""
        found = self.attention(latitude=latitude, longitude=longitude, base_points=base_points, model=model)
        return xfaconv.plot_attention(found, **style)

    def plot_importance(self, *, model: Choice = None, **style: Any) -> Any:
        """Draw how much each variable matters: `xfaconv.importance`, then `xfaconv.plot_importance`."""
        return xfaconv.plot_importance(self.importance(model=model), **style)

    def plot_embedding(self, *, model: Choice = None, **style: Any) -> Any:
        """Draw the embedding in time: `xfaconv.embed`, then `xfaconv.plot_embedding`."""
        return xfaconv.plot_embedding(self.embed(model=model), **style)

    def __repr__(self) -> str:
        """Say what was recognised, what is missing and what a call will cost."""
        return repr(xfaconv.describe(self._dataset))

    def _repr_html_(self) -> str:
        return xfaconv.describe(self._dataset)._repr_html_()


class DataArrayAccessor:
    """Figures of what `xfaconv.attention`, `xfaconv.importance` and `xfaconv.embed` gave.

    Parameters
    ----------
    array : DataArray
        A result of those functions.
    """

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def plot_attention(self, **style: Any) -> Any:
        """Draw these attention maps: see `xfaconv.plot_attention`."""
        return xfaconv.plot_attention(self._array, **style)

    def plot_importance(self, **style: Any) -> Any:
        """Draw this importance of the variables: see `xfaconv.plot_importance`."""
        return xfaconv.plot_importance(self._array, **style)

    def plot_embedding(self, **style: Any) -> Any:
        """Draw this embedding: see `xfaconv.plot_embedding`."""
        return xfaconv.plot_embedding(self._array, **style)

    def __getattr__(self, name: str) -> NoReturn:
        """Explain why a method of Datasets is not here."""
        if name.startswith("_") or not hasattr(DatasetAccessor, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        variable = "t2m" if self._array.name is None else self._array.name
        raise AccessorError(
            f"a DataArray has no faconv.{name}: models read several variables together",
            expected="a Dataset",
            found=f"DataArray {self._array.name!r}",
            fix=f"ds.faconv.{name}(...) of the whole Dataset, or da.to_dataset(name={variable!r}).faconv.{name}(...)",
        )


def register() -> None:
    """Make the accessors known to xarray; doing it again, as a reload does, warns of nothing."""
    for kind, accessor, announce in (
        (xr.Dataset, DatasetAccessor, xr.register_dataset_accessor),
        (xr.DataArray, DataArrayAccessor, xr.register_dataarray_accessor),
    ):
        present = kind.__dict__.get(NAME)
        if present is not None and getattr(kind, NAME).__module__ == __name__:
            delattr(kind, NAME)
        announce(NAME)(accessor)  # type: ignore[no-untyped-call]
