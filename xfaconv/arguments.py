"""Arguments that many functions share: their defaults and descriptions, and one rule for each name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, cleandoc, signature
from numbers import Integral, Real
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, TypeVar, cast

from xfaconv.errors import ArgumentError, closest_name

if TYPE_CHECKING:
    import xarray as xr

Place = tuple[float, float]
Box = tuple[float, float, float, float]
Mode = Literal["windowed", "stateful"]
# Whether a value is good, what is expected, and an example.
Rule = tuple[Callable[[Any], bool], str, str]
F = TypeVar("F", bound=Callable[..., Any])
_MOST_LATITUDE, _MOST_LONGITUDE = 90, 360
_LARGEST_SEED = 2**32 - 1
_LONGEST_VALUE = 60


class LoadedModel(Protocol):
    """What `xfaconv.models.Model` is to this module, which imports no folder of the package."""

    @property
    def card(self) -> Any:
        """Its card."""


class Arguments(TypedDict, total=False):
    """The keyword arguments that every function of the engine takes.

    Attributes
    ----------
    model : str, path-like or Model, optional
        A name of `xfaconv.list_models`, a file, or a model; by default a packaged model is chosen by the step, the
        domain and the variables of the data, and said in the attributes.
    regrid : {"model", None}, default "model"
        Regrid to the model's grid, or stay on the grid of the data.
    climatology : {"model", "data"} or Dataset, default "model"
        What anomalies are taken from: the model's own climatology, that of the data, or one that is given.
    absent : {"raise", "climatology"}, optional
        What to do about variables that the data lack; by default the option of that name.
    missing : {"fill", "raise", "propagate"}, optional
        Missing values outside the fixed mask are filled (by the optimal interpolation of the model where it has one,
        else by the climatology), are refused, or blank the results that read them; by default the option of that name.
        Checked where the values are read, never beforehand.
    mode : {"windowed", "stateful"}, default "windowed"
        Segments that start from rest after a warm-up and run in parallel, or one chain that carries the state through
        every span without a gap.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"auto"``; by default the option of that name.
    variables : Mapping of str to str, optional
        Names in the Dataset of the model's variables, where they cannot be recognised.
    stride : int, default 1
        Run on every n-th row and column of the grid: n * n times cheaper, and less exact. The packaged monthly models
        were trained mostly at strides above 1, so that 2 suits them.
    progress : bool, optional
        Show dask's progress bar while data in memory are computed; by default the option of that name. For lazy results
        put ``with dask.diagnostics.ProgressBar():`` around ``compute`` or ``to_zarr``.
    time : str, date, slice or sequence, optional
        Give only these steps: a label such as ``"2016-01"``, a slice of labels, or several, as in `xarray.Dataset.sel`.
        They have their warm-up from the whole record, and the numbers that they have in its results; only the segments
        that hold them are computed.
    """

    model: str | PathLike[str] | LoadedModel | None
    regrid: Literal["model"] | None
    climatology: Literal["model", "data"] | xr.Dataset
    absent: str | None
    missing: str | None
    mode: Mode
    device: str | None
    variables: Mapping[str, str] | None
    stride: int
    progress: bool | None
    time: Any


DEFAULTS: Arguments = {
    "model": None, "regrid": "model", "climatology": "model", "absent": None, "missing": None, "mode": "windowed",
    "device": None, "variables": None, "stride": 1, "progress": None, "time": None,
}  # fmt: skip


def shared_arguments(function: F) -> F:
    """Let a function with ``**arguments`` show and take `Arguments`, and refuse all others by name.

    They take the place of ``**arguments`` in the signature and in the docstring. The function is called with those that
    were given; `DEFAULTS` holds for the rest.

    Parameters
    ----------
    function : callable
        Ends with ``**arguments``, which its docstring names among the parameters. Its own arguments come first, also
        where one has the name of a shared one.

    Returns
    -------
    callable

    Examples
    --------
    >>> @shared_arguments
    ... def report(ds, *, lag=0, **arguments): ...
    >>> list(signature(report).parameters)[:4]
    ['ds', 'lag', 'model', 'regrid']
    >>> report(None, modle="mine")
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: argument 'modle' is unknown
      expected: ds, lag, model, regrid, climatology, absent, missing, mode, device, variables, stride, progress, time
      found:    'modle'
      fix:      model='mine'
    """
    plain = signature(function)
    own = [entry for entry in plain.parameters.values() if entry.kind is not Parameter.VAR_KEYWORD]
    types: Mapping[str, Any] = Arguments.__annotations__
    shared = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=types[name].__forward_arg__)
        for name, default in DEFAULTS.items()
        if name not in plain.parameters
    ]
    whole = plain.replace(parameters=[*own, *shared])

    @wraps(function)
    def call(*positional: Any, **given: Any) -> Any:
        refuse_unknown(given, list(whole.parameters))
        _refuse_too_many(function.__name__, positional, own)
        return function(*positional, **given)

    described, words = (cleandoc(text or "") + "\n" for text in (Arguments.__doc__, function.__doc__))
    shown = described.partition("-\n")[2]
    call.__doc__ = re.sub(r"^\*\*arguments\n(?: .*\n)*", lambda _: shown, words, flags=re.MULTILINE)
    call.__signature__ = whole  # type: ignore[attr-defined]
    return cast("F", call)


def known_arguments(function: F) -> F:
    """Let a function refuse arguments that it does not have by name, with what may be meant.

    Examples
    --------
    >>> @known_arguments
    ... def train(ds, *, updates=1): ...
    >>> train(None, update=5)
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: argument 'update' is unknown
      expected: ds, updates
      found:    'update'
      fix:      updates=5
    """
    parameters = signature(function).parameters

    @wraps(function)
    def call(*positional: Any, **given: Any) -> Any:
        refuse_unknown(given, list(parameters))
        _refuse_too_many(function.__name__, positional, list(parameters.values()))
        return function(*positional, **given)

    return cast("F", call)


# Words of other libraries for what has another name here, or is no argument.
_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "epochs": "updates=600  # changes of the weights; an epoch has no fixed number of them",
        "epoch": "updates=600  # changes of the weights; an epoch has no fixed number of them",
        "lr": "learning_rate={}",
        "batch_size": "batch={}",
        "random_state": "seed={}",
        "n_clusters": "n={}",
        "k": "n={}",
        "dates": "time={}",
        "date": "time={}",
        "steps": "time={}",
        "point": "base_point={}",
        "location": "base_point={}",
        "checkpoint_path": "checkpoint={}",
    }
)


def refuse_unknown(given: Mapping[str, object], known: Sequence[str]) -> None:
    """Refuse arguments that a function does not have.

    Parameters
    ----------
    given : mapping of str to object
        The arguments of a call by name.
    known : sequence of str
        Names that the function has.

    Raises
    ------
    ArgumentError
        Naming them, and the known ones that may be meant.

    Examples
    --------
    >>> refuse_unknown({"model": None}, ["ds", "model"])
    """
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    listed = ", ".join(map(repr, unknown))
    meant = dict.fromkeys(filter(None, (_meant(name, given[name], known) for name in unknown)))
    raise ArgumentError(
        f"argument {listed} is unknown" if len(unknown) == 1 else f"arguments {listed} are unknown",
        expected=", ".join(known), found=listed, fix=", ".join(meant) or _without(unknown, given, known),
    )  # fmt: skip


def _meant(name: str, value: object, known: Sequence[str]) -> str | None:
    """Write the argument that is probably meant, with the value that was given."""
    line = _ELSEWHERE.get(name, "")
    if line.partition("=")[0] in known:
        return line.format(_shown(value))
    # "region" is nearer to "regrid" by its letters than by anything else.
    close = None if name == "region" else closest_name(name, known)
    return None if close is None else f"{close}={_shown(value)}"


def _without(unknown: Sequence[str], given: Mapping[str, object], known: Sequence[str]) -> str | None:
    """Say how results of a region are asked for where a function of the whole domain is called."""
    if "region" not in unknown or "regrid" not in known:
        return None
    try:
        south, north, west, east = (f"{edge:g}" for edge in as_box(given["region"]))
    except ArgumentError:
        south, north, west, east = "-10", "10", "160", "270"
    return f"xfaconv.importance(ds, method='occlusion', region=({south}, {north}, {west}, {east}))"


def _shown(value: object) -> str:
    """Write a value as it would be typed, three dots where that is long or no Python."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE and not text.startswith("<") and "\n" not in text else "..."


def _refuse_too_many(name: str, positional: Sequence[Any], own: Sequence[Parameter]) -> None:
    """Refuse more arguments by position than there are: a place is often written as two."""
    places = [entry.name for entry in own if entry.kind is not Parameter.KEYWORD_ONLY]
    if len(positional) <= len(places):
        return
    given = [value for value in positional[1:] if is_number(value)]
    is_place = "base_point" in places and len(given) == len(positional) - 1 == 2
    raise ArgumentError(
        f"{name} takes a place as one argument" if is_place else f"{name} takes fewer arguments without a name",
        expected=f"{', '.join(places)}; all others by name",
        found=f"{len(positional)} without a name",
        fix=f"ds.faconv.{name}(({', '.join(map(repr, given))}))" if is_place else None,
    )


def is_whole(value: object, least: int = 0, most: float = math.inf) -> bool:
    """Whether a value is a whole number in a range; True and False are none.

    Examples
    --------
    >>> is_whole(3), is_whole(True), is_whole(2.0), is_whole(-1)
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def is_number(value: object, least: float = -math.inf, most: float = math.inf) -> bool:
    """Whether a value is a finite number in a range; True and False are none.

    Examples
    --------
    >>> is_number(0.5, 0, 1), is_number(float("nan")), is_number("1")
    (True, False, False)
    """
    return (
        isinstance(value, Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and least <= float(value) <= most
    )


def is_mapping(value: object) -> bool:
    """Whether a value maps names to something.

    Examples
    --------
    >>> is_mapping({"hidden": 32}), is_mapping({3: 32}), is_mapping([])
    (True, False, False)
    """
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _several(value: object) -> list[Any]:
    """Give the items of what can be gone through, none of text and of mappings."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else []


def _is_lag(value: object) -> bool:
    several = _several(value)
    return is_whole(value, -(10**9)) or (bool(several) and all(is_whole(lag, -(10**9)) for lag in several))


def _are_leads(value: object) -> bool:
    several = _several(value) if isinstance(value, Sequence) else []
    return bool(several) and all(map(is_whole, several)) and several == sorted(set(several))


def _are_names(value: object) -> bool:
    several = _several(value)
    return bool(several) and all(isinstance(name, str) for name in several)


def _is_path(value: object) -> bool:
    return isinstance(value, str | PathLike) and bool(str(value).strip())


def _or_none(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _one_of(*choices: str) -> Rule:
    return (
        lambda value: isinstance(value, str) and value in choices,
        " or ".join(map(repr, choices)),
        repr(choices[0]),
    )


def _is_dataset(value: object) -> bool:
    # xarray is not imported here, so that these rules cost nothing.
    return hasattr(value, "data_vars")


_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_FLAG: Rule = (lambda value: isinstance(value, bool), "True or False", "True")

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "absent": _one_of("raise", "climatology"),
        "alpha": (lambda v: is_number(v, 1e-12, 1 - 1e-12), "a probability between 0 and 1", "0.05"),
        "batch": (lambda v: is_whole(v, 1), "a whole number from 1", "4"),
        "blend": _FLAG,
        "block": (_or_none(lambda v: is_whole(v, 1)), "a whole number of steps, or None", "12"),
        "blocks_per_part": (lambda v: is_whole(v, 1), "a whole number from 1", "16"),
        "checkpoint": (_or_none(_is_path), "a path, or None", "'my-model.checkpoint'"),
        "climatology": (
            lambda v: _is_dataset(v) or (isinstance(v, str) and v in ("model", "data")),
            "'model', 'data' or a Dataset: a network reads anomalies, not physical values",
            "'model'",
        ),
        "deseasonalise": _FLAG,
        "device": (
            lambda v: isinstance(v, str) and bool(_DEVICE.fullmatch(v)),
            "'auto', 'cpu', 'cuda', 'cuda:<number>' or 'mps'",
            "'auto'",
        ),
        "heads": _FLAG,
        "implausible": _one_of("raise", "warn", "ignore"),
        "lag": (_is_lag, "a whole number of steps, or several", "0"),
        "leads": (_are_leads, "steps that ascend from 0 or more", "(0, 1, 3)"),
        "learning_rate": (_or_none(lambda v: is_number(v, 1e-12, 10)), "a number above 0, or None", "1e-3"),
        "length": (lambda v: is_number(v, 1e-3, 360), "degrees above 0, up to 360", "20.0"),
        "missing": _one_of("fill", "raise", "propagate"),
        "mode": _one_of("windowed", "stateful"),
        "name": (lambda v: isinstance(v, str) and bool(v.strip()), "text", "'my-model'"),
        "network": (_or_none(is_mapping), "entries of NetworkSpec by name, or None", "{'hidden': 32}"),
        "null": _one_of("effective", "phase"),
        "patience": (_or_none(lambda v: is_whole(v, 1)), "a whole number from 1, or None", "10"),
        "progress": _FLAG,
        "regrid": (lambda v: v is None or (isinstance(v, str) and v == "model"), "'model' or None", "'model'"),
        "repeats": (lambda v: is_whole(v, 0, 10**4), "a whole number from 0 to 10,000", "10"),
        "samples": (_or_none(lambda v: is_whole(v, 1)), "a whole number from 1, or None", "4"),
        "seed": (lambda v: is_whole(v, 0, _LARGEST_SEED), f"a whole number from 0 to {_LARGEST_SEED:,}", "0"),
        "shuffles": (lambda v: is_whole(v, 1, 10**6), "a whole number from 1 to a million", "999"),
        "surrogates": (lambda v: is_whole(v, 0, 10**6), "a whole number from 0 to a million", "999"),
        "test": _one_of("effective", "years"),
        "stride": (lambda v: is_whole(v, 1), "a whole number from 1", "2"),
        "threads": (_or_none(lambda v: is_whole(v, 1)), "a whole number from 1, or None", "1"),
        "threshold": (lambda v: is_number(v, 1e-12), "a number above 0", "1.0"),
        "training": _FLAG,
        "updates": (lambda v: is_whole(v, 1), "a whole number from 1", "600"),
        "validation": (lambda v: is_number(v, 0, 0.5), "a share of the record, 0 to 0.5", "0.2"),
        "variable": (_or_none(lambda v: isinstance(v, str)), "the name of a variable, or None", "'z500'"),
        "variables": (_or_none(_are_names), "names of variables, or None", "['t2m', 'msl']"),
        "weigh": _one_of("attention", "values"),
        "window": (lambda v: is_whole(v, 2), "a whole number from 2", "12"),
        "workers": (_or_none(lambda v: is_whole(v, 1)), "a whole number from 1, or None", "4"),
    }
)


def check_arguments(**given: object) -> None:
    """Refuse arguments that break the rule of their name.

    Parameters
    ----------
    **given
        Arguments by the names that users write.

    Raises
    ------
    ArgumentError
        Naming the first that is wrong, what is expected and what was found.

    Examples
    --------
    >>> check_arguments(seed=0, alpha=0.05)
    >>> check_arguments(seed=-1)
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: seed cannot be used
      expected: a whole number from 0 to 4,294,967,295
      found:    -1
      fix:      seed=0
    """
    check_rules(given, RULES)


def check_rules(given: Mapping[str, object], rules: Mapping[str, Rule], fix: str = "{}") -> None:
    """Refuse arguments that break the rule of their name in a table of rules.

    Parameters
    ----------
    given : mapping of str to object
        Arguments by the names that users write.
    rules : mapping of str to Rule
        A rule for each of them.
    fix : str, default "{}"
        Around the argument that fixes it.

    Raises
    ------
    ArgumentError
        Naming the first that is wrong, what is expected and what was found.

    Examples
    --------
    >>> check_rules({"steps": 3}, {"steps": (is_whole, "a whole number", "12")})
    """
    for name, value in given.items():
        good, expected, example = rules[name]
        if not good(value):
            raise ArgumentError(
                f"{name} cannot be used",
                expected=expected,
                found=repr(value)[:200],
                fix=fix.format(f"{name}={example}"),
            )


def seed_attribute(seed: int) -> int | float:
    """Write a seed as an attribute: the old NetCDF format has no whole numbers of more than 32 bits, with a sign.

    Examples
    --------
    >>> seed_attribute(3), seed_attribute(2**32 - 1)
    (3, 4294967295.0)
    """
    return seed if seed < 2**31 else float(seed)


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse an argument that is none of the known words.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What was given.
    choices : iterable of str
        What is known.

    Raises
    ------
    ArgumentError
        Naming the choices.

    Examples
    --------
    >>> check_choice("method", "bh", ("bh", "by"))
    """
    good, expected, example = _one_of(*choices)
    if not good(value):
        raise ArgumentError(f"unknown {name}", expected=expected, found=repr(value)[:200], fix=f"{name}={example}")


def as_place(value: Any, name: object = "base_point", written: str = "{name}=({latitude:g}, {longitude:g})") -> Place:
    """Read a place on Earth.

    Parameters
    ----------
    value : (float, float)
        Latitude and longitude [degrees].
    name : str
        Its name, for messages.
    written : str
        How the argument is written, for the line that fixes it.

    Returns
    -------
    tuple of (float, float)

    Raises
    ------
    ArgumentError
        If it is no pair of numbers, or not on Earth.

    Examples
    --------
    >>> as_place((0, -140))
    (0.0, -140.0)
    """
    problem, expected = "is not a pair of latitude and longitude in degrees", "two numbers, such as (0, -140)"
    found, fix = repr(value), written.format(name=name, latitude=0, longitude=-140)
    try:
        latitude, longitude = (float(degrees) for degrees in (() if isinstance(value, Mapping | str) else value))
    except (TypeError, ValueError):
        pass
    else:
        if abs(latitude) <= _MOST_LATITUDE and abs(longitude) <= _MOST_LONGITUDE:
            return latitude, longitude
        problem, found = "is no place on Earth", f"latitude {latitude:g}, longitude {longitude:g}"
        expected = "latitude from -90 to 90, longitude from -180 to 180 or 0 to 360 degrees"
        if abs(longitude) <= _MOST_LATITUDE and abs(latitude) <= _MOST_LONGITUDE:
            swapped = written.format(name=name, latitude=longitude, longitude=latitude)
            fix = f"{swapped.partition('  #')[0]}  # latitude comes first"
    raise ArgumentError(f"base point {name!r} {problem}", expected=expected, found=found[:200], fix=fix)


def as_box(value: object, name: str = "region") -> Box:
    """Read a box on Earth.

    Parameters
    ----------
    value : (south, north, west, east)
        Edges [degrees]; west may be greater than east across the date line.
    name : str
        Its name, for messages.

    Returns
    -------
    tuple of (float, float, float, float)

    Raises
    ------
    ArgumentError
        If it is no four numbers, or its latitudes are not on Earth, south first.

    Examples
    --------
    >>> as_box((-10, 10, 160, 270))
    (-10.0, 10.0, 160.0, 270.0)
    """
    several = _several(value)
    problem = "is not four edges in degrees"
    if len(several) == 4 and all(is_number(edge) for edge in several):
        south, north, west, east = (float(edge) for edge in several)
        if -90 <= south <= north <= 90:
            return south, north, west, east
        problem = "has no latitudes from south to north"
    expected = "(south, north, west, east), latitudes from -90 to 90, south first"
    raise ArgumentError(
        f"{name} {problem}", expected=expected, found=repr(value)[:200], fix=f"{name}=(-10, 10, 160, 270)"
    )
