"""``vidpipe.data`` for the child that measures a file: the same types, which only carry values, without pydantic.

In:   what the child measured.  Out: the JSON that pydantic would write of it; whoever asked has it validated by the real types, as
everything that comes from this process.  Wrong: TypeError for a field that there is not, or that is missing.

Half of the child's start was pydantic and the building of the models. It checks nothing that would not be checked again.
"""

from __future__ import annotations

import inspect
import json
from fractions import Fraction
from typing import Any, ClassVar, Self

REQUIRED = object()

Seconds = Rational = Fraction


def Field(default: Any = REQUIRED, *, description: str = "") -> Any:
    """Return the default; descriptions are for schemas."""
    return default


class Data:
    """A frozen value with the fields that its class and the classes above it annotate."""

    _fields: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: cls.__dict__.get(name, REQUIRED) for name in inspect.get_annotations(cls)}
        cls._fields = {**cls._fields, **own}

    def __init__(self, **values: Any) -> None:
        fields = self._fields
        given = {name: values.pop(name) if name in values else default for name, default in fields.items()}
        wrong = [*values, *(name for name, value in given.items() if value is REQUIRED)]
        if wrong:
            raise TypeError(f"{type(self).__name__}: {', '.join(wrong)}")
        self.__dict__.update(given)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    @classmethod
    def model_validate_json(cls, text: str) -> Self:
        """Return what the parent wrote: numbers and words, which it has validated."""
        return cls(**json.loads(text))

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """Return it with other values."""
        return type(self)(**{**self.__dict__, **update})

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return it as a JSON object, exact values as text."""
        return {name: _dumped(value) for name, value in self.__dict__.items()}


def _dumped(value: Any) -> Any:
    if isinstance(value, Data):
        return value.model_dump(mode="json")
    if isinstance(value, tuple | list):
        return [_dumped(each) for each in value]
    return str(value) if isinstance(value, Fraction) else value
