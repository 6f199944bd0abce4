"""The public table of the book: sentences of product reviews, rated by people and by a program.

Source: the data and the program of Hutto and Gilbert (2014), as in the source distribution of vaderSentiment 3.3.2 (MIT
licence). Only numbers are taken, none of the text. Run again with::

    pip download --no-deps --no-binary :all: vaderSentiment==3.3.2
    python -m benchmarks.public_table vaderSentiment-3.3.2.tar.gz
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from alignlib._core.files import write_whole

__all__ = ["CONTENT", "FOLDER", "LEAST", "N_RATERS", "main", "rows"]

FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "public_tables"
CONTENT = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"  # SHA-256 of the archive
LEAST = 8  # sentences of a review that is taken
N_RATERS = 4  # ratings shown one by one; the mean of the others is gold


def rows(ratings: str, texts: str, score: Callable[[str], float]) -> list[str]:
    """Return the lines of the table from the two files of the source: ratings, and sentences to be scored."""
    rated = {cells[0]: json.loads(cells[3]) for cells in _cells(ratings)}
    text = {cells[0]: cells[2].strip() for cells in _cells(texts)}
    sentences = Counter(item.split("_")[0] for item in rated)
    found = ["review,sentence,vader,people," + ",".join(f"rater_{k}" for k in range(1, N_RATERS + 1))]
    for item, given in rated.items():
        review, sentence = item.split("_")
        if sentences[review] >= LEAST:
            gold = sum(given[N_RATERS:]) / len(given[N_RATERS:])
            cells = [review, sentence, f"{score(text[item]):g}", f"{gold:g}", *map(str, given[:N_RATERS])]
            found.append(",".join(cells))
    return found


def _cells(file: str) -> list[list[str]]:
    return [line.split("\t") for line in file.removeprefix("\ufeff").splitlines() if line.strip()]


def main(archive: str) -> None:
    """Write the table and the licence of its source."""
    data = Path(archive).read_bytes()
    if hashlib.sha256(data).hexdigest() != CONTENT:
        raise SystemExit(f"{archive} is not the archive that this table was made from.")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(data)) as outer:
            outer.extractall(folder, filter="data")
        root = next(Path(folder).iterdir())
        with tarfile.open(root / "additional_resources" / "hutto_ICWSM_2014.tar.gz") as inner:
            inner.extractall(folder, filter="data")
        sys.path.insert(0, str(root))
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        program = SentimentIntensityAnalyzer()
        ratings, texts = (
            (Path(folder) / "hutto_ICWSM_2014" / f"amazonReviewSnippets_{name}.txt").read_text("utf-8")
            for name in ("anonDataRatings", "GroundTruth")
        )
        lines = rows(ratings, texts, lambda text: program.polarity_scores(text)["compound"])
        licence = (root / "LICENSE.txt").read_text("utf-8").strip()
    write_whole(FOLDER / "review_sentences.csv", "\n".join(lines) + "\n")
    write_whole(FOLDER / "LICENSE", licence + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
