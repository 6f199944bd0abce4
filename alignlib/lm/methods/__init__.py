"""Methods that align the small language models, one file each; every file registers its method when it is imported.

`METHODS` has them by name, `find` one of them. A file that is added here is found by itself (names that begin with an
underscore are no methods). Importing this package needs no torch: a method brings it when it trains.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from alignlib.lm.methods._method import METHODS, Look, Method, OnPolicy, find, register
from alignlib.lm.settings import RESPONSES, Settings

__all__ = ["METHODS", "RESPONSES", "Look", "Method", "OnPolicy", "Settings", "find", "register"]

for _file in iter_modules(__path__):
    if not _file.name.startswith("_"):
        import_module(f"{__name__}.{_file.name}")
