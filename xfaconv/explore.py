"""Maps of attention whose base point is moved by sliders or clicks: the optional interactive view for notebooks."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, Any, Unpack

import xarray as xr

import xfaconv
from xfaconv.errors import DependencyError

if TYPE_CHECKING:
    from xfaconv.engine import Arguments

_FIGURE_SIZE = (6.4, 4.2)
# Largest distance of a click from the point that it stands for, as a share of the width of the map.
_NEAR = 1e-3


class AttentionExplorer:
    """A map of attention whose base point can be moved; made by `xfaconv.explore_attention`.

    Parameters
    ----------
    dataset : Dataset
        ERA5-like fields; a short record, because each new base point runs the network over all of it.
    base_point : (float, float)
        Latitude and longitude [degrees] to begin with.
    arguments : Arguments
        Of `xfaconv.attention`.
    """

    def __init__(self, dataset: xr.Dataset, base_point: tuple[float, float], arguments: Arguments) -> None:
        self._dataset = dataset
        self._arguments = arguments
        self._widget: Any = None
        self.base_point = base_point
        self.maps = self._attention(*base_point)

    def move_to(self, latitude: float, longitude: float) -> xr.DataArray:
        """Move the base point.

        Parameters
        ----------
        latitude, longitude : float
            The new base point [degrees].

        Returns
        -------
        DataArray (latitude, longitude)
            Attention, averaged over the steps with a complete warm-up (over all where none has one); it sums to 1.

        Raises
        ------
        ArgumentError
            If it lies outside the domain; the base point then stays where it was.
        """
        self.maps = self._attention(latitude, longitude)
        self.base_point = latitude, longitude
        return self.maps

    def draw(self, figure: Any = None) -> Any:
        """Draw the map.

        Parameters
        ----------
        figure : Figure, optional
            Figure to clear and draw on; by default a new one.

        Returns
        -------
        QuadMesh
        """
        from matplotlib.figure import Figure

        from xfaconv.plot.coordinates import canonical
        from xfaconv.plot.projections import central_longitude, choose

        figure = Figure(figsize=_FIGURE_SIZE, layout="compressed") if figure is None else figure
        figure.clear()
        grid = canonical(self.maps)[1]
        ax = figure.add_subplot(projection=choose(grid, central_longitude(grid, self.base_point[1])))
        return xfaconv.plot_attention(self.maps, base_point=self.base_point, ax=ax)

    def clicked(self, event: Any) -> bool:
        """Move the base point to where the map was clicked.

        Parameters
        ----------
        event : matplotlib MouseEvent
            With `inaxes`, `xdata` and `ydata`.

        Returns
        -------
        bool
            Whether the click was on the map.
        """
        from cartopy import crs as ccrs

        projection = getattr(event.inaxes, "projection", None)
        if projection is None or event.xdata is None:
            return False
        longitude, latitude = ccrs.PlateCarree().transform_point(event.xdata, event.ydata, projection)
        # Beside the globe, but inside the axes, some projections give the nearest point of the globe.
        x, y = projection.transform_point(longitude, latitude, ccrs.PlateCarree())
        if not hypot(x - event.xdata, y - event.ydata) < _NEAR * abs(projection.x_limits[1] - projection.x_limits[0]):
            return False
        self.move_to(float(latitude), float(longitude))
        return True

    @property
    def widget(self) -> Any:
        """Sliders above the map (ipywidgets), made at first use.

        Raises
        ------
        DependencyError
            If ipywidgets is not installed.
        """
        if self._widget is None:
            self._widget = self._build()
        return self._widget

    def _attention(self, latitude: float, longitude: float) -> xr.DataArray:
        maps = xfaconv.attention(self._dataset, latitude=latitude, longitude=longitude, **self._arguments)
        warm = maps["full_warmup"]
        dim = str(warm.dims[0])
        used = maps.isel({dim: warm.values}) if bool(warm.any()) else maps
        return used.mean(dim, keep_attrs=True).compute()

    def _build(self) -> Any:
        try:
            import ipywidgets
        except ImportError as problem:
            raise DependencyError(
                "the interactive view needs ipywidgets",
                expected="ipywidgets",
                found="not installed",
                fix='pip install "xfaconv[interactive]"',
            ) from problem
        from matplotlib import pyplot as plt

        with plt.ioff():
            figure = plt.figure(figsize=_FIGURE_SIZE, layout="compressed")
        takes_clicks = hasattr(figure.canvas, "_model_id") or "ipympl" in type(figure.canvas).__module__
        output = ipywidgets.Output()
        sliders = [
            ipywidgets.FloatSlider(
                value, min=low, max=high, step=2.5, description=name, continuous_update=False, readout_format=".1f"
            )
            for name, value, low, high in zip(
                ("latitude", "longitude"), self.base_point, (-90, -180), (90, 180), strict=True
            )
        ]

        def redraw(_: Any = None) -> None:
            self.move_to(*(slider.value for slider in sliders))
            show()

        def show() -> None:
            self.draw(figure)
            if takes_clicks:
                figure.canvas.draw_idle()
                return
            from IPython.display import display

            with output:
                output.clear_output(wait=True)
                display(figure)

        def click(event: Any) -> None:
            if self.clicked(event):
                show()

        for slider in sliders:
            slider.observe(redraw, names="value")
        figure.canvas.mpl_connect("button_press_event", click)
        show()
        if not takes_clicks:
            plt.close(figure)
        return ipywidgets.VBox([ipywidgets.HBox(sliders), figure.canvas if takes_clicks else output])


def explore_attention(
    ds: xr.Dataset, base_point: tuple[float, float] = (0.0, -140.0), **arguments: Unpack[Arguments]
) -> AttentionExplorer:
    """Make a map of attention whose base point can be moved by sliders or clicks.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields; a short record, because each new base point runs the network over all of it.
    base_point : (float, float), default (0, -140)
        Latitude and longitude [degrees] to begin with.
    **arguments
        See `xfaconv.embed`.

    Returns
    -------
    AttentionExplorer
        Its `widget` is for notebooks (it needs ipywidgets); `move_to` and `draw` do the same without.

    Raises
    ------
    XFaconvError
        If the data, the base point or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 3))
    >>> explorer = xfaconv.explore_attention(ds)
    >>> round(float(explorer.move_to(65, -20).sum()), 4), explorer.base_point
    (1.0, (65, -20))
    """
    return AttentionExplorer(ds, base_point, arguments)
