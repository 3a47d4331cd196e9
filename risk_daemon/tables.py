"""What a table of the configuration file is, as a model: nothing unknown, nothing converted, nothing changed later."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo


class Table(BaseModel):
    """One table of the file. Defaults are validated too: a default may clash with a key that is set."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)


def as_written(text: object) -> Any:
    """A default in the file's notation: read and checked like a value that stands there."""
    return Field(default=text, validate_default=True)


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError('it is not a path: write a text such as "var"')
    return Path(value)


def _beside_the_file(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path())
    return Path(os.path.abspath(base / value))


def _is_there(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"there is no such file: {value}")
    return value


# Paths are absolute: a relative one is relative to the configuration file.
LocalPath = Annotated[Path, BeforeValidator(_path), AfterValidator(_beside_the_file)]
ExistingFile = Annotated[LocalPath, AfterValidator(_is_there)]
