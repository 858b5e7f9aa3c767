"""Recurrent cores by name: what is asked of one, how a core is made known, and how a network finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from torch import Tensor, nn

from xfaconv.errors import ArgumentError
from xfaconv.nn.geometry import Geometry
from xfaconv.specs import NetworkSpec


class Core(Protocol):
    """What is asked of a recurrent core, which must also be a `torch.nn.Module`."""

    hidden: int

    def prepare(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Compute what does not depend on the state: (batch, time, lat, lon, C) to (batch, time, ...)."""

    def step(
        self, prepared: Tensor, hidden: Tensor, cell: Tensor, geometry: Geometry
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Advance H and C (batch, lat, lon, F) by one step; the third is the squeeze-excitation gates, None without."""

    def size_of_input_weights(self, variables: int) -> Tensor:
        """How large the weights of each of the first so many input channels are, (variables,)."""


BuildCore = Callable[[int, NetworkSpec], nn.Module]
Builder = TypeVar("Builder", bound=BuildCore)
_CORES: dict[str, BuildCore] = {}


def register_core(name: str) -> Callable[[Builder], Builder]:
    """Make a recurrent core known under a name, for ``NetworkSpec(architecture=name)``.

    What is decorated is called with the number of input channels (variables and context) and the `NetworkSpec`, and
    gives the core: a function, or a class with these two arguments. Axial attention and squeeze-excitation gates belong
    to the paper's own core; a network with another core has neither. Other processes must import the module, too.

    Parameters
    ----------
    name : str
        The name; one that another module has taken is refused.

    Returns
    -------
    callable
        Decorator that gives back what it decorates.

    Raises
    ------
    ArgumentError
        If another module has registered the name.

    Examples
    --------
    >>> from xfaconv.nn import Core, register_core
    >>> @register_core("still")
    ... class Still(nn.Module):
    ...     def __init__(self, channels, spec):
    ...         super().__init__()
    ...         self.hidden = spec.hidden
    ...         self.read = nn.Linear(channels, spec.hidden)
    ...     def prepare(self, fields, geometry):
    ...         return self.read(fields)
    ...     def step(self, prepared, hidden, cell, geometry):
    ...         return prepared.tanh(), cell, None
    ...     def size_of_input_weights(self, variables):
    ...         return self.read.weight[:, :variables].norm(dim=0)
    >>> build_core(NetworkSpec(variables=2, architecture="still"), channels=8).hidden
    48
    """

    def register(build: Builder) -> Builder:
        known = _CORES.setdefault(name, build)
        if known.__module__ != build.__module__:
            raise ArgumentError(
                f"the core {name!r} belongs to {known.__module__}", fix=f'@register_core("{name}-of-mine")'
            )
        _CORES[name] = build
        return build

    return register


def build_core(spec: NetworkSpec, channels: int) -> nn.Module:
    """Build a core with fresh weights.

    Parameters
    ----------
    spec : NetworkSpec
        Architecture and sizes.
    channels : int
        Input channels: variables and context.

    Returns
    -------
    Module
        A `Core`.

    Raises
    ------
    ArgumentError
        If no core of this name is registered.
    """
    if spec.architecture not in _CORES:
        raise ArgumentError(
            f"there is no core {spec.architecture!r}",
            expected=" or ".join(map(repr, _CORES)),
            fix=f'import the module that has @xfaconv.nn.register_core("{spec.architecture}"), on every worker',
        )
    return _CORES[spec.architecture](channels, spec)
