"""A bundle checked without running anything: are the files those of its sums, does its crate describe them, do the
claims follow from their numbers and agree with the notebooks that recorded them?

Sums that lie beside the files protect against damage and against a change of some of them. Against a bundle that was
made anew as a whole they do not: for that the digest of ``SHA256SUMS`` must be compared with one from elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from alignbook.bundle.crate import written
from alignbook.bundle.opened import MARK, Bundle, BundleError
from alignbook.bundle.results import claims_of, parse_once, record_of, results
from alignbook.bundle.sums import SUMS, digests_within, folders_of, read_sums
from alignlib._core.errors import InputError, bounded, quoted

__all__ = ["Verified", "read_records", "verify"]

_MOST_SAID = 20
_RUN = "CreateAction"
_RO_CRATE = "https://w3id.org/ro/crate/"
_MOST_ENTITIES = 200_000
_LONGEST = 160  # characters of a name


@dataclass(frozen=True)
class Verified:
    """What was checked, and what is wrong; nothing is wrong where ``problems``, of ``n_problems`` the first, is empty.

    ``digest`` is the SHA-256 of ``SHA256SUMS``, to be compared with a published one, and ``scripts`` that of the script
    which the crate names for each run.
    """

    name: str
    made_with: str
    digest: str
    n_files: int
    n_bytes: int
    n_runs: int
    n_claims: int
    n_hold: int
    n_excused: int
    n_problems: int = 0
    problems: tuple[str, ...] = ()
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    scripts: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(bundle: Bundle) -> Verified:
    """Check sums, crate and claims of a bundle.

    Raises
    ------
    BundleError
        Where it has no sums, no readable crate or no readable results, so that nothing can be said of it.
    """
    sums = bundle.read(SUMS)
    try:
        listed = read_sums(sums.decode("utf-8", "replace"))
    except InputError as error:
        raise BundleError(str(error)) from None
    digests = {name: bundle.digest(name) for name in bundle.sizes if name != SUMS}
    graph = _graph(bundle)
    root = graph.get("./", {})
    records, unread = read_records(bundle)
    problems = [
        *_of_sums(listed, digests),
        *unread,
        *_of_crate(bundle, graph, digests, records),
        *_of_results(bundle, records),
    ]
    claims = [claim for _, claim in claims_of(records)]
    excused = sum(not claim.must_hold and not claim.holds for claim in claims)
    return Verified(
        name=str(root.get("name", ""))[:_LONGEST],
        made_with=str(graph.get("#software-alignlib", {}).get("softwareVersion", ""))[:_LONGEST],
        digest=hashlib.sha256(sums).hexdigest(),
        n_files=len(bundle.sizes),
        n_bytes=sum(bundle.sizes.values()),
        n_runs=len(records),
        n_claims=len(claims),
        n_hold=sum(claim.holds for claim in claims),
        n_excused=excused,
        n_problems=len(problems),
        problems=_shortened(problems),
        records=records,
        scripts={page: _script(graph, page, digests) for page in records},
    )


def _script(graph: Mapping[str, Mapping[str, Any]], page: str, digests: Mapping[str, str]) -> str:
    """The SHA-256 of the script that the run of a page names; empty where it names none that is there."""
    names = _ids(graph.get(f"#run-{page}", {}).get("instrument"))
    return digests.get(names[0], "") if len(names) == 1 else ""


def read_records(bundle: Bundle) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what each executed notebook records, and what is wrong with those that cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for name in bundle.sizes:
        if name.startswith("notebooks/") and name.endswith(".ipynb"):
            page = name.removeprefix("notebooks/").removesuffix(".ipynb")
            try:
                found[page] = record_of(bundle.text(name))
            except BundleError:
                raise
            except ValueError as error:
                problems.append(f"{name} is no executed notebook of ours: {error}.")
    return found, problems


def _of_sums(listed: Mapping[str, str], digests: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(listed.keys() - digests.keys()):
        yield f"{name} is listed in {SUMS} and missing."
    for name in sorted(digests.keys() - listed.keys()):
        yield f"{name} is not listed in {SUMS}."
    for name in sorted(listed.keys() & digests.keys()):
        if listed[name] != digests[name]:
            yield f"{name} was changed: its SHA-256 is {digests[name][:12]}…, and {SUMS} says {listed[name][:12]}…."


def _graph(bundle: Bundle) -> dict[str, dict[str, Any]]:
    try:
        entities = parse_once(bundle.text(MARK))["@graph"]
        if len(entities) > _MOST_ENTITIES:
            raise BundleError(f"{MARK} of {bundle.path} describes {len(entities):,} things; no bundle has so many.")
        graph: dict[str, dict[str, Any]] = {}
        for entity in entities:
            name = str(entity["@id"])
            if name in graph:
                raise BundleError(
                    f"{MARK} of {bundle.path} describes {quoted(name)} twice; which one counts would be a guess."
                )
            graph[name] = dict(entity)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{MARK} of {bundle.path} is no RO-Crate that can be read.") from None
    return graph


def _of_crate(
    bundle: Bundle,
    graph: Mapping[str, Mapping[str, Any]],
    digests: Mapping[str, str],
    records: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    folders = {name for name, one in graph.items() if _is(one, "Dataset") and name != "./" and name.endswith("/")}
    described = {name for name, one in graph.items() if _is(one, "File")}
    for name in sorted(described):
        if name not in digests:
            yield f"the crate describes {quoted(name)}, which is missing."
            continue
        entity = graph[name]
        if entity.get("sha256") != digests[name] or str(entity.get("contentSize")) != str(bundle.sizes[name]):
            yield f"{name} is not the file that the crate describes: size or SHA-256 differ."
    for name in sorted(digests.keys() - described - {MARK}):
        if folders.isdisjoint(folders_of(name)):
            yield f"{name} is not described in the crate."
    within = digests_within(folders, digests)
    for folder in sorted(folders):
        if graph[folder].get("sha256") != within[folder]:
            yield f"the files of {folder} are not those that the crate describes: one was changed, added or removed."
    itself = graph.get(MARK, {})
    if _ids(itself.get("about")) != ["./"] or not any(
        one.startswith(_RO_CRATE) for one in _ids(itself.get("conformsTo"))
    ):
        yield f"{MARK} does not say that it is an RO-Crate about the bundle."
    if not _is(graph.get("./", {}), "Dataset"):
        yield "the crate does not describe the bundle as a whole, './'."
    main = _ids(graph.get("./", {}).get("mainEntity"))
    if len(main) != 1 or not _is(graph.get(main[0], {}), "ComputationalWorkflow"):
        yield "the crate names no workflow as its main entity."
    run = {name: one for name, one in graph.items() if _is(one, _RUN)}
    for name, action in sorted(run.items()):
        for part in ("instrument", "object", "result"):
            for there in _ids(action.get(part)):
                if there not in graph:
                    yield f"the run {quoted(name)} of the crate names {quoted(there)}, which it does not describe."
    for page, record in records.items():
        action = run.get(f"#run-{page}", {})
        if f"notebooks/{page}.ipynb" not in _ids(action.get("result")):
            yield f"the crate has no run that made notebooks/{page}.ipynb."
            continue
        if not _script(graph, page, digests):
            yield f"the crate names no script of the run that made notebooks/{page}.ipynb."
        objects = [graph.get(name, {}) for name in _ids(action.get("object"))]
        said = {str(one.get("name")): one.get("value") for one in objects if _is(one, "PropertyValue")}
        if said != {name: written(value) for name, value in record["parameters"].items()}:
            yield f"the parameters of {page} in the crate are not those that its notebook records."


def _of_results(bundle: Bundle, records: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    try:
        claims = parse_once(bundle.text("results/claims.json"))
        titles = {name: str(claims[name]["title"]) for name in records}
        wanted = results(titles, records)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        yield "results/claims.json has no record of some notebook, or is not as we write it."
        return
    for name, text in wanted.items():
        if name not in bundle.sizes or bundle.text(name) != text:
            yield f"{name} does not say what the notebooks record."
    for page, claim in claims_of(records):
        if claim.must_hold and not claim.holds:
            yield f"the claim {claim.key} of {page} must hold and does not: {claim.comparison}."


def _is(entity: Mapping[str, Any], kind: str) -> bool:
    kinds = entity.get("@type", ())
    return kind == kinds or (isinstance(kinds, list) and kind in kinds)


def _ids(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [str(item["@id"]) for item in items if isinstance(item, dict) and "@id" in item]


def _shortened(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - _MOST_SAID
    said = tuple(map(bounded, problems[:_MOST_SAID]))
    return said if more <= 0 else (*said, f"and {more:,} more.")
