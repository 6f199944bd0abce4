"""Doctests of modules that need the extra lm are collected only where it is installed."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
EXTRA = {"torch", "transformers", "trl", "torchrl", "tensordict", "datasets", "tokenizers", "safetensors"}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out a module of ``alignlib.lm`` that fails for want of the extra, and for no other reason."""
    if collection_path.suffix != ".py" or ROOT / "alignlib" / "lm" not in collection_path.parents:
        return None
    name = ".".join(collection_path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        return True if (error.name or "").partition(".")[0] in EXTRA else None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip examples with data frames where narwhals is not installed."""
    if find_spec("narwhals") is None:
        for item in items:
            if item.name.endswith((".from_frame", ".open_frame")):
                item.add_marker(pytest.mark.skip(reason="narwhals is not installed"))
