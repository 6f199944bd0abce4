"""Formulas of docstrings as TeX: written in letters that a terminal shows, set as mathematics on the library's pages.

A docstring says ``Λ(λ) = log E e^{λ r}`` between double backticks, as it says ``log_partition``; only the first is a
formula, and only formulas are changed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

__all__ = ["GREEK", "SIGNS", "is_formula", "to_tex", "with_links"]

GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "η": "eta", "θ": "theta", "κ": "kappa",
    "λ": "lambda", "μ": "mu", "ν": "nu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "varphi", "χ": "chi",
    "ψ": "psi", "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Λ": "Lambda", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
    "ξ": "xi", "ζ": "zeta",
}  # fmt: skip
SIGNS = {
    "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "∝": r"\propto", "·": r"\cdot", "×": r"\times", "∞": r"\infty", "∈": r"\in",
    "Σ": r"\sum", "∑": r"\sum", "Π": r"\prod", "∏": r"\prod", "∫": r"\int", "∂": r"\partial", "∇": r"\nabla",
    "‖": r"\,\Vert\,", "→": r"\to", "↦": r"\mapsto",
    "±": r"\pm", "≈": r"\approx", "≪": r"\ll", "≫": r"\gg", "ℓ": r"\ell", "½": r"\tfrac12",
    "…": r"\dots", "∼": r"\sim", "~": r"\sim", "<=": r"\le", ">=": r"\ge", "!=": r"\ne", "∩": r"\cap", "∪": r"\cup",
    "−": "-", "–": "-", "⋅": r"\cdot", "¼": r"\tfrac14", "∀": r"\forall", "⁄": "/", "%": r"\%", "#": r"\#", "&": r"\&",
}  # fmt: skip
_FUNCTIONS = {
    **{
        name: rf"\{name}"
        for name in ("log", "exp", "max", "min", "sup", "inf", "lim", "sinh", "cosh", "tanh", "tan", "coth")
    },
    "argmax": r"\operatorname*{arg\,max}", "E": r"\mathbb{E}", "P": "P",
    **{name: rf"\operatorname{{{name}}}" for name in ("Var", "Cov", "KL", "kl", "osc", "mean", "std", "arcsin", "erf")},
}  # fmt: skip
_ACCENTS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde"}
_SCRIPTS = {"SUPERSCRIPT": "^", "SUBSCRIPT": "_"}
_TOKEN = re.compile(
    r"(?P<name>[A-Za-z]{2,}(?:_[A-Za-z]{2,})+)|(?P<word>[A-Za-z]+)|(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)"
    r"|(?P<sign><=|>=|!=)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_LITERAL = re.compile(r"``([^`]+)``")
# A name in single backticks, with or without a role of Sphinx before it.
_NAME = re.compile(r"(?<![`:\w])(?::(?:class|func|meth|mod|obj|attr):)?`~?([^`<>\n]+)`(?![`_])")
_CALL = re.compile(r"[A-Za-z_][\w.]*(\(.*\))?")
# Quotes, patterns of columns, keyword arguments, shapes, slices, ranges, file endings, numbers alone.
_CODE = re.compile(r"[\"$\\]|'\w|\w'$|=…|,\)|\*\*|\[\w+\]|^-?\d*$|^\.|\.\.|:$|^[ -)+-~]+\*$|^\(\w+(, \w+)*\)$")
_LETTERS = ("Lu", "Ll", "Lo", "Sm", "Mn", "No")


def is_formula(text: str) -> bool:
    """Say whether a literal is mathematics rather than code.

    >>> [is_formula(text) for text in ("D(λ) = kl", "log N", "F_i^N", "x - 1", "kl", "log_policy", "gold=…", "(k,)")]
    [True, True, True, True, False, False, False, False]
    """
    if _CODE.search(text) or _unbalanced(text):
        return False
    if "^" in text or any(c in "·‖" or (ord(c) > 127 and unicodedata.category(c) in _LETTERS) for c in text):
        return True
    if re.fullmatch(r"[A-Z]|[A-Za-z]_[a-z0-9]", text):
        return True
    words = re.findall(r"[A-Za-z]+", text)
    if not words or re.search(r"[A-Za-z]\d", text) or not all(len(word) == 1 or word in _FUNCTIONS for word in words):
        return False
    head = re.match(r"([A-Za-z]+)'*\(", text)
    return not _CALL.fullmatch(text) or head is not None


def to_tex(text: str) -> str:
    r"""Write a formula as TeX.

    >>> print(to_tex("D(λ) = KL(π_λ‖p) = λΛ'(λ) - Λ(λ)"))
    D(\lambda ) = \operatorname{KL}(\pi _{\lambda }\,\Vert\,p) = \lambda \Lambda '(\lambda ) - \Lambda (\lambda )
    >>> print(to_tex("σ √(2Δ)"), "|", to_tex("E_π* r̂"), "|", to_tex("∫₀¹ e^{-s} ds"))
    \sigma \sqrt{2\Delta } | \mathbb{E}_{\pi ^{*}} \hat{r} | \int _{0}^{1} e^{-s} \,ds
    """
    text = re.sub(r"(?<![A-Za-z])-inf\b", "-∞", " ".join(text.split()))
    tex = re.sub(r" {2,}", " ", _converted(_tokens(text))).strip()
    return re.sub(r"(\\mathrm\{\w+\}) (?=[\\\w])", r"\1\\ ", tex)


def with_links(docstring: str, names: Mapping[str, str]) -> str:
    r"""Set a docstring for the pages on the library: its formulas as mathematics, names in single backticks as links.

    Parameters
    ----------
    docstring : str
        Its text; examples stay as they are.
    names : mapping of str to str
        Where each name, by the module it lives in, is documented. Other names become literals.

    Examples
    --------
    >>> print(with_links("The mean ``R(λ)`` at ``lam``; see `Law.kl` and `other`.", {"a.law.Law": "a.Law"}))
    The mean :math:`R(\lambda )` at ``lam``; see :py:obj:`Law.kl <a.Law>` and ``other``.
    """
    short = {name.rpartition(".")[2]: path for name, path in names.items()}

    def linked(match: re.Match[str]) -> str:
        name = match[1]
        last = name.rpartition(".")[2] if name in names else name.partition(".")[0]
        target = names.get(name) or short.get(name) or short.get(last)
        shown = name.rpartition(".")[2] if name in names else name
        return f":py:obj:`{shown} <{target}>`" if target else f"``{name}``"

    parts = re.split(r"(?m)((?:^[ \t]*>>>[^\n]*(?:\n(?![ \t]*$)[^\n]*)*)+)", docstring)
    set_ = [part if k % 2 else _LITERAL.sub(_replaced, _NAME.sub(linked, part)) for k, part in enumerate(parts)]
    return "".join(set_)


def _replaced(match: re.Match[str]) -> str:
    return f":math:`{to_tex(match[1])}`" if is_formula(match[1]) else match[0]


def _unbalanced(text: str) -> bool:
    return any(text.count(left) != text.count(right) for left, right in ("{}", "()")) or "}{" in text


def _tokens(text: str) -> list[str]:
    """Split into names, numbers, signs and letters with their accents."""
    tokens: list[str] = []
    for match in _TOKEN.finditer(unicodedata.normalize("NFD", text)):
        if match[0] in _ACCENTS and tokens:
            body, last = tokens[-1][:-1], tokens[-1][-1]
            tokens[-1:] = [*([body] if body else []), last + match[0]]
        else:
            tokens.append(match[0])
    return tokens


def _converted(tokens: list[str]) -> str:
    out: list[str] = []
    while tokens:
        token = tokens.pop(0)
        if token in "_^" or token == "√":
            head = r"\sqrt" if token == "√" else token
            out.append(f"{head}{{{_converted(_argument(tokens, root=token == '√'))}}}")
        elif token == "{":
            out.append(rf"\{{{_converted(_group(tokens, '{', '}'))}\}}")
        elif token == "*" and out and not out[-1].isspace() and (not tokens or not tokens[0].strip().isalnum()):
            out.append("^{*}")
        elif _script(token):
            digits = token
            while tokens and _script(tokens[0]) == _script(token):
                digits += tokens.pop(0)
            out.append(f"{_script(token)}{{{unicodedata.normalize('NFKC', digits).replace('−', '-')}}}")
        else:
            out.append(_one(token))
    return "".join(out)


def _argument(tokens: list[str], *, root: bool) -> list[str]:
    """Take what an index, an exponent or a root applies to."""
    while tokens and tokens[0].isspace():
        tokens.pop(0)
    if not tokens:
        return []
    first = tokens.pop(0)
    if first == "{":
        return _group(tokens, "{", "}")
    if first == "(":
        inside = _group(tokens, "(", ")")
        return inside if root else ["(", *inside, ")"]
    if first.isalpha() and first.isascii() and len(first) > 1 and first not in _FUNCTIONS and root:
        tokens.insert(0, first[1:])
        return [first[0]]
    starred = tokens and tokens[0] == "*" and (len(tokens) == 1 or not tokens[1].isalnum())
    return [first, tokens.pop(0)] if starred else [first]


def _group(tokens: list[str], left: str, right: str) -> list[str]:
    inside: list[str] = []
    depth = 1
    while tokens:
        token = tokens.pop(0)
        depth += (token == left) - (token == right)
        if depth == 0:
            break
        inside.append(token)
    return inside


def _script(token: str) -> str:
    """``^`` or ``_`` for a raised or lowered character, else nothing."""
    name = unicodedata.name(token, "") if len(token) == 1 else ""
    raised = name.startswith("MODIFIER LETTER") and unicodedata.normalize("NFKC", token) != token
    return (
        "^"
        if raised
        else next((sign for kind, sign in _SCRIPTS.items() if name.startswith((kind, f"LATIN {kind}"))), "")
    )


def _one(token: str) -> str:
    if len(token) == 2 and token[1] in _ACCENTS:
        return rf"\{_ACCENTS[token[1]]}{{{_one(token[0]).rstrip()}}}"
    if token in GREEK:
        return rf"\{GREEK[token]} "
    if token in SIGNS:
        return f"{SIGNS[token]} " if SIGNS[token][-1].isalpha() else SIGNS[token]
    if token in _FUNCTIONS:
        return _FUNCTIONS[token]
    if token == "*":
        return r"\cdot "
    if "_" in token:
        return rf"\mathtt{{{token.replace('_', chr(92) + '_')}}}"
    if re.fullmatch(r"d[a-z]", token):
        return rf"\,{token}"
    if token.isalpha() and token.isascii() and len(token) > 2:
        return rf"\mathrm{{{token}}}"
    return token
