"""What the tables of a config are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Reference = Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
"""A user's own class, ``package.module:Class``."""


class Table(BaseModel):
    """A table of the config; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def changed(self, keys: Iterable[str]) -> list[str]:
        """Return those of these keys that somebody set to something else than their default."""
        usual = type(self)()
        return [key for key in keys if getattr(self, key) != getattr(usual, key)]


class OpenTable(BaseModel):
    """A table whose further keys belong to what its ``name`` selects, and are checked there."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """All keys but the name."""
        return dict(self.model_extra or {})
