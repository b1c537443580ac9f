"""The state: immutable nodes and the collections that they use."""

from __future__ import annotations

from . import model
from .model import *

__all__: list[str] = []
__all__ += model.__all__
