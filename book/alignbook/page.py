"""An executed notebook as one HTML file: pictures, style and MathJax inside, no request to anywhere.

Sphinx renders it with the book's own settings, so that theorem boxes, numbered figures, generated numbers and citations
look as they do in the book. References to other pages become their titles.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import json
import mimetypes
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml

from alignbook.folding import fold
from alignbook.parameters import ParameterError
from alignbook.project import Project
from alignbook.works import name_works, short_names
from alignlib._core.errors import InputError
from alignlib._core.files import write_whole
from alignlib._core.safe_text import for_html, for_json
from alignlib._core.working import working_folder

__all__ = ["PageError", "name_other_pages", "write_page"]

_EXTENSIONS = ["myst_nb", "sphinx.ext.mathjax", "sphinx_design", "sphinx_proof"]
_SETTINGS = re.compile(r"(language|numfig\w*|math_\w+|mathjax3_config|proof_\w+|bibtex_\w+|nb_\w+)$")
# Only what Sphinx marked as mathematics is mathematics: ``\(`` in a reader's text is two characters.
_MATHJAX_OPTIONS = {"enableMenu": False, "ignoreHtmlClass": "mathjax_ignore", "processHtmlClass": "math"}
# Text of a reader is escaped where it enters. What gets past that all the same finds HTML in Markdown, the directives
# that include or pass raw text, and curly quotation marks switched off, and a page that may load and run nothing.
_GUARDED = {"myst_disable_syntax": ["html_block", "html_inline"], "smartquotes": False}
_DOCUTILS = "[parsers]\nfile_insertion_enabled: off\nraw_enabled: off\n"
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_ROLE = re.compile(r"\{(?P<kind>doc|prf:ref|numref|ref|eq|term)\}`(?:(?P<said>[^`<>]+?) *<)?(?P<target>[^`<>]+)>?`")
_LINK = re.compile(r"(?<!\\)\[(?P<said>[^\][]*)\]\((?!\w+:)(?P<target>[^()\s#]+)\.(?:ipynb|md)(?:#[^()\s]*)?\)")
_THEOREM = re.compile(r"`{3,}\{prf:\w+\} *(?P<title>[^\n]*)\n(?:# ?)?:label: *(?P<label>\S+)")
_FIGURE = re.compile(r'"name": *"(?P<label>[^"]+)"')
_EQUATION = re.compile(r":label: *(?P<label>eq-\S+)|\$\$ *\((?P<beside>eq-[^()\s]+)\)")
_HEADING = re.compile(r"^# (?P<title>.+)$", re.MULTILINE)
_STYLE = """
:root { color-scheme: light }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif }
body { color: #1a1a1a; background: #fff }
h1, h2, h3 { line-height: 1.25 }
a { color: #0b4f9e }
a.headerlink { display: none }
img, svg { max-width: 100%; height: auto }
pre { background: #f4f5f7; padding: .75rem; overflow-x: auto; font-size: .85rem; line-height: 1.45 }
.cell_output pre { background: none; border-left: 3px solid #c4c8cf }
figure { margin: 1.5rem 0 }
figcaption { color: #444; font-size: .95rem }
.caption-number { font-weight: 600 }
.admonition, .proof { border-left: 4px solid #0b4f9e; background: #f1f5fa; padding: .1rem 1rem; margin: 1.25rem 0 }
.admonition-title { font-weight: 600 }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { border: 1px solid #c4c8cf; padding: .3rem .6rem; text-align: left; font-weight: 400 }
thead th, caption { font-weight: 600; text-align: left }
div.math { overflow-x: auto }
details { margin: .75rem 0 }
details.admonition { border-left: none; background: none; padding: 0 }
details summary p { display: inline; font-weight: 400; color: #444 }
details:not([open]) .expanded, details[open] .collapsed { display: none }
"""


class PageError(InputError):
    """A page that Sphinx cannot make."""


def write_page(notebook: str, page: Path, root: Path, *, replace: bool = True) -> None:
    """Write the text of an executed ``.ipynb`` as one standalone HTML file.

    Args:
        notebook: the text of the notebook.
        page: the file to write, whole or not at all.
        root: the project, whose ``_config.yml`` and ``book/references.bib`` are used where they exist.
        replace: whether a file of that name is replaced.

    Raises:
        PageError: where Sphinx fails.
    """
    node = nbformat.reads(notebook, as_version=4)
    node.metadata.pop("alignlib", None)  # a record for programs, of which a page shows nothing
    name_other_pages(node, root)
    fold(node)
    bibliography = root / "book" / "references.bib"
    name_works(node, short_names(bibliography), prose=False)
    cited = bibliography.is_file() and any("{cite" in cell.source for cell in node.cells)
    if cited:
        node.cells.append(nbformat.v4.new_markdown_cell("## References\n\n```{bibliography}\n```"))
    settings = _settings(root / "_config.yml")
    settings["extensions"] = _EXTENSIONS + (["sphinxcontrib.bibtex"] if cited else [])
    settings["bibtex_bibfiles"] = [str(bibliography)] if cited else []
    with working_folder() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        nbformat.write(node, source / "index.ipynb")
        write_whole(source / "conf.py", f"globals().update({settings!r})\n")
        write_whole(source / "docutils.conf", _DOCUTILS)
        command = [sys.executable, "-P", "-m", "sphinx", "-b", "json", "-q", str(source), str(target)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
        if done.returncode != 0:
            raise PageError(f"Sphinx could not make {page}: {done.stderr.strip().splitlines()[-1]}")
        content = json.loads((target / "index.fjson").read_text(encoding="utf-8"))
        body = re.sub(r'src="([^":]+)"', lambda match: f'src="{_inline(target / match[1])}"', content["body"])
        pygments = (target / "_static" / "pygments.css").read_text(encoding="utf-8")
    document = _document(content["title"], body, pygments, settings.get("mathjax3_config", {}))
    write_whole(page, document, replace=replace)


def _settings(config: Path) -> dict[str, Any]:
    """The book's settings that decide how a page reads; sensible ones where there is no book."""
    data = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else {}
    chosen = {k: v for k, v in data.get("sphinx", {}).get("config", {}).items() if _SETTINGS.match(k)}
    syntax = data.get("parse", {}).get("myst_enable_extensions", ["amsmath", "colon_fence", "dollarmath"])
    defaults = {"project": "", "master_doc": "index", "nb_execution_mode": "off", "numfig": True}
    return defaults | {"myst_enable_extensions": syntax, "html_copy_source": False} | chosen | _GUARDED


def _document(title: str, body: str, pygments: str, mathjax_config: dict[str, Any]) -> str:
    options = mathjax_config | {"options": mathjax_config.get("options", {}) | _MATHJAX_OPTIONS}
    scripts = [
        f"window.MathJax = {for_json(options, indent=None).strip()};",
        _mathjax_file().read_text(encoding="utf-8"),
    ]
    policy = _POLICY.format(scripts=" ".join(map(_digest, scripts)))
    heading = for_html(html.unescape(re.sub("<[^>]+>", "", title)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}{pygments}</style>\n"
        f"{''.join(f'<script>{script}</script>{chr(10)}' for script in scripts)}"
        f'</head>\n<body>\n<main class="mathjax_ignore">\n{body}\n</main>\n</body>\n</html>\n'
    )


def _digest(script: str) -> str:
    """How a policy names the one script that may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _inline(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _mathjax_file() -> Path:
    """The MathJax build that carries its own glyphs and every TeX extension."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise PageError("The package sphinx-mathjax-offline, which holds MathJax, is not installed; run `make setup`.")
    return Path(spec.origin).parent / "static" / "mathjax" / "tex-svg-full.js"


def name_other_pages(node: Any, root: Path) -> None:
    """Replace each reference that leads out of a notebook by the title of what it refers to, in italics.

    Parameters
    ----------
    node : notebook
        Changed in place.
    root : path
        The project; titles are looked up in its ``notebooks`` and ``book``. A target that is not found there keeps its
        own name.
    """
    cells = [cell for cell in node.cells if cell.cell_type == "markdown"]
    if not any(_ROLE.search(cell.source) or _LINK.search(cell.source) for cell in cells):
        return
    text = "\n".join(cell.source for cell in cells)
    here = {match["label"] for match in _THEOREM.finditer(text)} | _equations(text)
    here |= {str(cell.metadata.get("mystnb", {}).get("figure", {}).get("name")) for cell in node.cells}
    titles = _titles(root)

    def plain(match: re.Match[str]) -> str:
        target = match["target"]
        if match.re is _ROLE and match["kind"] == "term":  # a word of the sentence, wherever it is defined
            return match["said"] or target
        if match.re is _ROLE and match["kind"] != "doc":
            if target in here or f":label: {target}" in text:
                return match[0]
        else:
            target = Path(target).name
        return match["said"] or f"*{titles.get(target, target)}*"

    for cell in cells:
        cell.source = _LINK.sub(plain, _ROLE.sub(plain, cell.source))


def _titles(root: Path) -> dict[str, str]:
    """Titles of all pages by file name, of their theorems by label; of a figure or a formula, the title of its page."""
    found: dict[str, str] = {}
    texts: dict[str, str] = {}
    for page in Project(root).notebooks():
        try:
            found[page.name] = page.title
        except ParameterError:  # another page, unfinished, must not stop this one
            found[page.name] = page.name
        texts[page.name] = page.with_defaults(page.script.read_text(encoding="utf-8"))
    for path in sorted((root / "book").glob("*.md")):
        texts[path.stem] = path.read_text(encoding="utf-8")
        heading = _HEADING.search(texts[path.stem])
        found[path.stem] = heading["title"].strip() if heading else path.stem
    for name, text in texts.items():
        for match in _THEOREM.finditer(text):  # without its source
            found[match["label"]] = match["title"].partition(" (")[0].strip() or found[name]
        found |= {match["label"]: found[name] for match in _FIGURE.finditer(text)}
        found |= dict.fromkeys(_equations(text), found[name])
    return found


def _equations(text: str) -> set[str]:
    """Labels of the formulas in a text."""
    return {match["label"] or match["beside"] for match in _EQUATION.finditer(text)}
