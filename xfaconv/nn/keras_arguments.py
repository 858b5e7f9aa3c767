"""Which arguments of Keras' ConvLSTM2D the layer refuses, and what to do instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xfaconv.errors import ArgumentError

_ONE_CHOICE: dict[str, tuple[tuple[object, ...], str]] = {
    "strides": ((1,), "the recurrence needs the input's own grid; coarsen the input first"),
    "padding": (("same",), 'padding="same"'),
    "activation": (("tanh",), "leave it out: the paper's cell has tanh"),
    "recurrent_activation": (("sigmoid",), "leave it out: the paper's gates are sigmoids"),
}
_NONE_ONLY = {
    "kernel_initializer": "torch.nn.init on layer.parameters()",
    "recurrent_initializer": "torch.nn.init on layer.parameters()",
    "bias_initializer": "torch.nn.init on layer.cell.gates.bias",
    "kernel_regularizer": "add it to the loss, or weight_decay of the optimiser",
    "recurrent_regularizer": "add it to the loss, or weight_decay of the optimiser",
    "bias_regularizer": "add it to the loss, or weight_decay of the optimiser",
    "activity_regularizer": "add xfaconv.nn.laplacian_smoothness(output, geometry) to the loss",
    "kernel_constraint": "torch.nn.utils.parametrize",
    "recurrent_constraint": "torch.nn.utils.parametrize",
    "bias_constraint": "torch.nn.utils.parametrize",
    "seed": "torch.manual_seed(seed)",
}


def refuse_keras_arguments(**arguments: Any) -> None:
    """Refuse what this layer does not do; arguments that ask for what it does anyway pass.

    Parameters
    ----------
    **arguments
        Keyword arguments of ConvLSTM2D.

    Raises
    ------
    ArgumentError
        For the first argument that is refused or unknown.

    Examples
    --------
    >>> refuse_keras_arguments(strides=(1, 1), activation="tanh", kernel_regularizer=None)
    >>> refuse_keras_arguments(padding="valid")
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: FAConvLSTM cannot honour padding='valid'
      expected: padding='same'
      fix:      padding="same"
    """
    for name, value in arguments.items():
        if name in _ONE_CHOICE:
            choices, fix = _ONE_CHOICE[name]
            if (as_single_integer(name, value) if name == "strides" else value) not in choices:
                raise ArgumentError(
                    f"FAConvLSTM cannot honour {name}={value!r}", expected=f"{name}={choices[0]!r}", fix=fix
                )
        elif name not in _NONE_ONLY:
            raise ArgumentError(f"FAConvLSTM has no argument {name!r}", found=f"{name}={value!r}")
        elif value is not None:
            raise ArgumentError(
                f"FAConvLSTM cannot honour {name}={value!r}", expected=f"{name}=None", fix=_NONE_ONLY[name]
            )


def as_single_integer(name: str, value: int | Sequence[int]) -> int:
    """Read a size that must be the same along latitude and longitude.

    Parameters
    ----------
    name : str
        Name of the argument, for the error.
    value : int or sequence of int
        One number, or the same number twice.

    Returns
    -------
    int

    Raises
    ------
    ArgumentError
        If the numbers differ.

    Examples
    --------
    >>> as_single_integer("kernel_size", (3, 3))
    3
    """
    numbers = {value} if isinstance(value, int) else set(value)
    if len(numbers) != 1:
        raise ArgumentError(f"{name} must be the same in both directions", expected="one integer", found=repr(value))
    return int(numbers.pop())
