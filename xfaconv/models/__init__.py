"""Trained models: the registry, their files and their cards. Torch is imported when a network is built."""

from xfaconv.models.model import Model
from xfaconv.models.registry import list_models, load_model, register_model

__all__ = ["Model", "list_models", "load_model", "register_model"]
