"""What a network can be asked for, told from its sizes and choices, before torch is imported."""

from __future__ import annotations

from xfaconv.errors import ModelError
from xfaconv.specs import NetworkSpec


def has_gates(spec: NetworkSpec) -> bool:
    """Whether a network has squeeze-excitation gates.

    Examples
    --------
    >>> has_gates(NetworkSpec(variables=2)), has_gates(NetworkSpec(variables=2, architecture="cnn"))
    (True, False)
    """
    return spec.architecture == "faconvlstm"


def require_gates(spec: NetworkSpec) -> None:
    """Refuse a network without gates.

    Raises
    ------
    ModelError
        If it has none.
    """
    if not has_gates(spec):
        raise ModelError(
            f"a {spec.architecture} network has no squeeze-excitation gates",
            expected="a model with the architecture 'faconvlstm'",
            found=spec.architecture,
            fix="xfaconv.importance(ds, model=...) with a FAConvLSTM model",
        )


def require_attention(spec: NetworkSpec) -> None:
    """Refuse a network without axial attention.

    Raises
    ------
    ModelError
        If it has none.
    """
    if spec.architecture != "faconvlstm" or not spec.attention_every:
        raise ModelError(
            "this model has no axial attention, so there are no maps",
            expected="a model with the architecture 'faconvlstm' and attention_every of at least 1",
            found=f"{spec.architecture}, attention_every={spec.attention_every}",
            fix="xfaconv.attention(ds, model=...) with a model that has it",
        )
