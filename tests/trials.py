"""All that is fed in, family by family, as the page "What it does with bad input" counts it.

Each trial is a test of this folder, or a case of one; ``python -m tests.trials`` runs them in some ten seconds and
prints how many were tried and how many survived, as JSON.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from alignlib.cli.main import main
from tests import test_array_doors as arrays
from tests import test_doors as doors
from tests import test_endings as endings
from tests import test_extremes as extremes
from tests import test_models_of_others as models
from tests import test_names_are_data as data
from tests import test_outputs as outputs
from tests import test_overlay as pictures
from tests.bad_input_cases import CASES
from tests.corpus import CORPUS
from tests.hostile import strings
from tests.lm import test_resumable as resumable
from tests.test_bad_input import check
from tests.test_fuzz import survives
from tests.test_safe_text import keeps_its_shape

__all__ = ["Trial", "counts", "trials"]


class Trial(NamedTuple):
    """One attempt; ``run(folder)`` raises where it was not survived."""

    family: str
    name: str
    run: Callable[[Path], object]


def trials() -> Iterator[Trial]:
    """Yield all trials."""
    for case in CASES:
        yield Trial(case.family, case.name, partial(check, case))
    for k, (ending, content, command) in enumerate(CORPUS):
        yield Trial("found by drawing files", f"{k} {command} {ending}", partial(_survives, ending, content, command))
    for k, text in enumerate(strings("canary")):
        yield Trial("hostile text in a page", f"{k} {text!r}", partial(_in_a_page, text))
        yield Trial("hostile text on a terminal", f"{k} {text!r}", partial(_on_a_terminal, text))
    for kind, word in data.PAIRS:
        yield Trial("words of options", f"{kind} {word}", partial(data.says_as_written, kind=kind, word=word))
    for name, option, place in outputs.cases():
        run = partial(outputs.refused, name=name, option=option, place=place)
        yield Trial("outputs", f"{name} {option} {place}", run)
    for line, said in extremes.VALUES:
        yield Trial("values of options", line, partial(extremes.held, words=line, said=said))
    for address in extremes.ADDRESSES:
        yield Trial("values of options", f"--scheduler {address}", partial(extremes.refuses, address=address))
    if sys.platform == "linux":
        yield Trial("values of options", "--checkpoint \\x80", partial(extremes.keeps_under, name=b"\x80"))
    for words in endings.NAMES:
        run = partial(_patched, endings.test_names_of_files_that_cannot_be, arguments=words)
        yield Trial("names of files", " ".join(words)[:50], run)
    for kind in resumable.TAMPERING:
        run = partial(resumable.test_every_tampering_is_one_sentence_that_names_the_file, kind=kind)
        yield Trial("unfinished jobs tampered with", kind, run)
    nothing = resumable.test_a_job_that_did_nothing_leaves_nothing
    yield Trial("unfinished jobs tampered with", "a job that did nothing", nothing)
    for config in models.CONFIGS:
        run = partial(models.test_a_config_that_promises_too_much_is_one_sentence, config=config)
        yield Trial("models", str(config), run)
    for config in models.NAMING:
        run = partial(_alone, models.test_a_config_that_names_code_on_the_hub_is_seen, config)
        yield Trial("models", str(config), run)
    for program in models.TEMPLATES if sys.platform == "linux" else ():
        run = partial(_patched, models.test_a_chat_template_has_bounded_time_and_memory, program=program)
        yield Trial("models", f"a chat template: {program.__name__}", run)
    yield Trial("pictures", "settings of matplotlib", pictures.test_settings_of_matplotlib_have_no_say)
    imported = partial(_patched, pictures.test_matplotlib_is_imported_as_it_comes)
    yield Trial("pictures", "a matplotlibrc where it is imported", imported)
    for first, second, code in endings.PAIRS:
        two = endings.test_two_signals_to_all_leave_nothing_and_the_first_decides
        yield Trial("signals and systems", f"{first}, {second}", partial(two, first=first, second=second, code=code))
    for way in endings.UNFINISHED:
        run = partial(endings.test_what_a_block_did_not_put_away_is_put_away_in_the_end, way=way)
        yield Trial("signals and systems", f"SIGTERM, and {way} in what puts away", run)
    for name, code in endings.SIGNALS:
        run = partial(endings.test_a_signal_leaves_no_folder_no_process_and_one_sentence, name=name, code=code)
        yield Trial("signals and systems", name, run)
    for module, name, code in endings.IMPORTS:
        run = partial(_alone, endings.test_a_signal_during_the_imports_is_one_sentence_too, module, name, code)
        yield Trial("signals and systems", f"{name} while {module} is imported", run)
    for way in endings.LOST:
        run = partial(endings.test_a_signal_that_is_lost_on_its_way_ends_the_command_all_the_same, way=way)
        yield Trial("signals and systems", f"SIGTERM, {way}", run)
    yield Trial(
        "signals and systems",
        "SIGKILL",
        endings.test_after_a_kill_no_process_stays_and_the_next_run_clears_the_folder,
    )
    for error, code, said in endings.ENDINGS:
        run = partial(_patched, endings.test_what_ends_a_command_from_outside, error=error, code=code, said=said)
        name = f"{error!r}, {said}" if getattr(error, "filename", None) else repr(error)
        yield Trial("signals and systems", name, run)
    for test in (
        endings.test_ctrl_c_while_workers_begin_is_one_sentence,
        endings.test_a_signal_waits_until_what_must_be_whole_is,
        endings.test_a_process_that_is_killed_costs_its_own_job_alone,
        endings.test_where_there_is_nothing_to_put_away_a_signal_ends_the_process_at_once,
        endings.test_a_full_disk_names_the_file_and_leaves_the_old_one,
        endings.test_a_closed_standard_output_is_a_sentence,
        endings.test_a_device_is_no_place_for_a_file,
        endings.test_nothing_is_replaced_unasked,
        endings.test_a_left_part_of_a_file_is_cleared_and_nothing_else,
        endings.test_links_are_not_followed_where_folders_are_cleared,
    ):
        yield Trial("signals and systems", test.__name__, test)
    for k, (call, said) in enumerate(arrays.REFUSED):
        run = partial(_alone, arrays.test_refused_in_a_sentence_on_one_line, call, said)
        yield Trial("arguments of the library", f"{k} an array", run)
    for k, (wrong, said) in enumerate(doors.CASES):
        yield Trial("arguments of the library", f"{k} another kind", partial(_called, wrong, said))
    for k, marker in enumerate(endings.MARKERS):
        run = partial(endings.test_folders_that_are_not_known_as_left_are_never_touched, marker=marker)
        yield Trial("folders of others", f"{k} {marker}", run)


def counts() -> dict[str, list[int]]:
    """Run all trials; return for each family how many were tried, and how many survived. Failures go to stderr."""
    found: dict[str, list[int]] = {}
    for trial in trials():
        tally = found.setdefault(trial.family, [0, 0])
        tally[0] += 1
        with tempfile.TemporaryDirectory() as folder:
            try:
                trial.run(Path(folder))
            except Exception as error:  # whatever a test raises, it did not survive
                print(f"{trial.family}: {trial.name}: {type(error).__name__}: {error}"[:500], file=sys.stderr)
            else:
                tally[1] += 1
    return found


def _alone(test: Callable[..., None], *options: object) -> None:
    """Run a test that needs no folder; what comes last is one."""
    test(*options[:-1])


def _patched(test: Callable[..., None], folder: Path, **options: object) -> None:
    """Run a test that changes what it runs in, and change it back."""
    place = {"tmp_path": folder} if "tmp_path" in inspect.signature(test).parameters else {}
    with pytest.MonkeyPatch.context() as patch:
        test(monkeypatch=patch, **place, **options)


def _called(call: Callable[[Path], object], said: str, folder: Path) -> None:
    doors.test_another_kind_is_named(call, said, folder)


def _survives(ending: str, content: bytes, command: str, folder: Path) -> None:
    path = folder / f"t.{ending}"
    path.write_bytes(content)
    survives(path, command)


def _in_a_page(text: str, folder: Path) -> None:
    for place in ("@", "before @ after", "| a | b |\n|---|---|\n| @ | @ |", "# @"):
        keeps_its_shape(place, text)


def _on_a_terminal(text: str, folder: Path) -> None:
    """As the name of a column that is not there, and of a file."""
    table = folder / "t.csv"
    table.write_text("prompt_id,reward\n0,1\n")
    for words in (["frontier", str(table), "--reward", text], ["capacity", str(folder / text.replace("/", "∕"))]):
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, done.stdout) == (2, ""), done.exception
        assert all(c.isprintable() or c in "\u200c\u200d" for c in done.stderr.rstrip("\n")), done.stderr
        assert done.stderr.count("\n") == 1
    assert list(folder.iterdir()) == [table]


if __name__ == "__main__":
    print(json.dumps(counts(), ensure_ascii=False))
