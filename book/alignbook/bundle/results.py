"""Claims and numbers of executed notebooks as files: the same content once as JSON and once as rows of CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from alignbook.claim import Claim, from_json
from alignlib._core.safe_text import for_json
from alignlib.answers.output.render import to_csv

__all__ = ["parse_once", "record_of", "results"]

_CLAIMS = (
    "notebook", "key", "statement", "source", "kind", "value", "expected", "tolerance", "points", "must_hold", "low",
    "high", "holds",
)  # fmt: skip
_VALUES = ("notebook", "kind", "name", "value")


def parse_once(text: str) -> Any:
    """Return what JSON says, and refuse a name that is there twice: which one counts would be a guess.

    Raises
    ------
    ValueError
        For text that is no JSON, or an object that names something twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def record_of(notebook: str) -> dict[str, Any]:
    """Return what an executed notebook records of itself: parameters, numbers and claims.

    Raises
    ------
    ValueError
        Where it records nothing, or not what we write.
    """
    try:
        record = parse_once(notebook)["metadata"]["alignlib"]
        claims = [from_json(item).to_json() for item in record["claims"]]
        parameters = dict(record["parameters"])
        numbers = {name: _finite(value) for name, value in record["numbers"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise ValueError("it records no parameters, numbers and claims as `alignlib run` leaves them") from None
    if len({claim["key"] for claim in claims}) < len(claims):
        raise ValueError("it records a claim twice, and which one counts would be a guess")
    return {"parameters": parameters, "numbers": numbers, "claims": claims}


def results(titles: Mapping[str, str], records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the files of ``results/``, by name.

    Parameters
    ----------
    titles : mapping of str to str
        Titles of the notebooks.
    records : mapping
        What `record_of` returns for each.
    """
    claims = {name: {"title": titles[name], "claims": records[name]["claims"]} for name in sorted(records)}
    values = {
        name: {"parameters": records[name]["parameters"], "numbers": records[name]["numbers"]}
        for name in sorted(records)
    }
    return {
        "results/claims.json": for_json(claims),
        "results/claims.csv": to_csv(list(_claim_rows(records)), _CLAIMS),
        "results/values.json": for_json(values),
        "results/values.csv": to_csv(list(_value_rows(records)), _VALUES),
    }


def claims_of(records: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Claim]]:
    """Yield every claim with its notebook."""
    for name in sorted(records):
        for item in records[name]["claims"]:
            yield name, from_json(item)


def _finite(value: Any) -> Any:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _claim_rows(records: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for name in sorted(records):
        for item in records[name]["claims"]:
            low, high = item.get("interval") or (None, None)
            rest = {key: value for key, value in item.items() if key != "interval"}
            yield {"notebook": name, **rest, "low": low, "high": high}


def _value_rows(records: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for name in sorted(records):
        for what in ("parameters", "numbers"):
            for key, value in records[name][what].items():
                kind = "parameter" if what == "parameters" else "number"
                shown = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
                yield {"notebook": name, "kind": kind, "name": key, "value": shown}
