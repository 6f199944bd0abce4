"""What responses are worth: rewards that people use and that install by name, as functions of texts.

Each takes a list of texts and returns a list of numbers, so that the command line scores with them::

    alignlib score samples.parquet --scorer alignlib.lm.words.rewards:sentiment

They need the packages ``vaderSentiment`` (MIT licence) and ``alt-profanity-check`` (MIT licence), of the extra ``lm``.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol

import numpy as np

from alignlib._core.checks import FloatArray
from alignlib._core.errors import InputError

__all__ = ["UNIT", "civility", "once", "repeated_sentiment", "sentiment"]

UNIT = 4.0
"""Rewards are VADER's compound score, in [-1, 1], times this: their standard deviation is then about one."""


def sentiment(texts: Sequence[str]) -> list[float]:
    """Return VADER's compound score of each text times ``UNIT``, every word counted once.

    The lexicon adds up over words, so that a text that says one warm word over and over would be as warm as it likes.

    Parameters
    ----------
    texts : sequence of str
        Responses.

    Examples
    --------
    >>> sentiment(["good good good"]) == sentiment(["good"])
    True
    """
    return repeated_sentiment([once(text) for text in texts])


def repeated_sentiment(texts: Sequence[str]) -> list[float]:
    """Return VADER's compound score of each text times ``UNIT``, as the package gives it: a word counts each time.

    Parameters
    ----------
    texts : sequence of str
        Responses.
    """
    score = _vader().polarity_scores
    return [UNIT * float(score(text)["compound"]) for text in texts]


def civility(texts: Sequence[str]) -> list[float]:
    """Return the log-odds that a text is not offensive, by the classifier that alt-profanity-check ships.

    It is a linear model of word counts, so that texts of any kind get a number; near zero it is undecided.

    Parameters
    ----------
    texts : sequence of str
        Responses.
    """
    predict = _profanity()
    prob = np.asarray(predict(list(texts)), dtype=np.float64)
    return [float(value) for value in np.log1p(-prob) - np.log(prob)]


def once(text: str) -> str:
    """Return a text without the words that it has said before.

    Parameters
    ----------
    text : str
        A response.

    Examples
    --------
    >>> once("The king, the great king and the queen")
    'The king, great and queen'
    """
    seen: dict[str, str] = {}
    for word in text.split():
        seen.setdefault(word.strip(string.punctuation).lower(), word)
    return " ".join(seen.values())


class _Sentiment(Protocol):
    """What scores a text by its words."""

    def polarity_scores(self, text: str) -> dict[str, float]:
        """Shares of words of each kind, and ``compound``."""


@cache
def _vader() -> _Sentiment:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError as error:
        raise InputError("This reward needs the package vaderSentiment; pip install vaderSentiment.") from error
    made: _Sentiment = SentimentIntensityAnalyzer()
    return made


@cache
def _profanity() -> Callable[[list[str]], FloatArray]:
    try:
        from profanity_check import predict_prob
    except ImportError as error:
        raise InputError("This reward needs the package alt-profanity-check; pip install it by that name.") from error
    found: Callable[[list[str]], FloatArray] = predict_prob
    return found
