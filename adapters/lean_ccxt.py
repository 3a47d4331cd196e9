"""ccxt without the hundred exchanges that nobody configured.

Its three packages import every exchange they have: more than a second of CPU and 60 MB at each start. Here each
package's own file is run without the lines that import one exchange each, and an exchange comes when it is asked for
by its name. All else is ccxt's own, and an error of ccxt is the same class by whichever way it was imported.

Whoever has imported ccxt before keeps it as it is, and where ccxt is not built as expected it is imported whole.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
_ONE_EXCHANGE = r"^from {package}\.(\w+) import \1\b.*$"


class _Unexpected(Exception):
    """This ccxt is not built like the one that is pinned."""


class _Package(ModuleType):
    """A package of ccxt, whose exchanges are imported when they are asked for."""

    left_out: frozenset[str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self.left_out:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
        import_module(f"{self.__name__}.{name}")
        return self.__dict__[name]

    def __setattr__(self, name: str, value: Any) -> None:
        # Whatever imports a module puts it into its package, where ccxt has the class of the same name.
        if isinstance(value, ModuleType) and name in self.left_out:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.left_out})


def ccxt_pro() -> Any:
    """The module `ccxt.pro`: lean, unless this process has imported ccxt otherwise before."""
    if "ccxt" not in sys.modules:
        try:
            _import_lean()
        except Exception:  # whatever it was: nothing is half imported, and what follows says what is really wrong
            _forget()
    return import_module("ccxt.pro")


def _import_lean() -> None:
    for name in _PACKAGES:
        package = _lean(name)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, package)


def _lean(name: str) -> ModuleType:
    """Run the package's file without its exchanges. Raises whatever that raises."""
    spec = find_spec(name)
    source = None if spec is None or spec.loader is None else spec.loader.get_source(name)  # type: ignore[attr-defined]
    if spec is None or source is None or spec.origin is None:
        raise _Unexpected(f"{name} has no source")
    one_exchange = re.compile(_ONE_EXCHANGE.format(package=re.escape(name)), re.MULTILINE)
    module = module_from_spec(spec)
    module.__dict__["left_out"] = frozenset(one_exchange.findall(source))
    module.__class__ = _Package
    sys.modules[name] = module
    exec(compile(one_exchange.sub("", source), spec.origin, "exec"), module.__dict__)
    if module.left_out != set(module.exchanges):
        raise _Unexpected(f"{name} names other exchanges than it imports")
    return module


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ccxt"]:
        with suppress(KeyError):  # another thread
            del sys.modules[name]
