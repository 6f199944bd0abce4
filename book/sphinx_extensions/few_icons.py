"""The theme's script of icons, with those alone that the pages show: 80 kB in place of 1.5 MB, read on every page."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SCRIPT = Path("_static", "scripts", "fontawesome.js")
# name: [width, height, [other names and code points], "code point", "drawing"]
_ICON = re.compile(
    r'(?:"(?P<quoted>[\w-]+)"|(?P<bare>[\w$]+)):\[\d+,\d+,\[(?P<others>[^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)
_CLASS = re.compile(r"\bfa-([a-z0-9-]+)")
_ADDRESS = re.compile(r'(scripts/fontawesome\.js\?digest=)[0-9a-f]+(?=")')


def icons(texts: Iterable[str]) -> set[str]:
    """Names that follow ``fa-`` in pages or scripts, those of styles and sizes among them."""
    return {name for text in texts for name in _CLASS.findall(text)}


def only(script: str, used: Set[str]) -> str:
    """Return the script without the drawings of icons that none of these names means."""

    def kept(icon: re.Match[str]) -> str:
        names = {icon["quoted"] or icon["bare"], *re.findall(r'"([\w-]+)"', icon["others"])}
        return icon[0] if names & used else ""

    left, n = _ICON.subn(kept, script)
    if n < 1000:
        raise ExtensionError(f"{SCRIPT.name} of the theme holds its icons in another form: see {Path(__file__).name}.")
    return left


def write_script(app: Sphinx, error: Exception | None) -> None:
    """Put the shorter script in its place, and its digest into the pages, lest a browser keeps an older one."""
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    theme = importlib.util.find_spec("pydata_sphinx_theme")
    if theme is None or theme.origin is None or not (out / SCRIPT).is_file():
        return
    whole = Path(theme.origin).parent / "theme" / "pydata_sphinx_theme" / "static" / "scripts" / SCRIPT.name
    pages = {path: path.read_text(encoding="utf-8") for path in out.rglob("*.html")}
    scripts = [
        path for path in (out / "_static").rglob("*.js") if path.name != SCRIPT.name and path.parts[-2] != "mathjax"
    ]
    used = icons([*pages.values(), *(path.read_text(encoding="utf-8") for path in scripts)])
    script = only(whole.read_text(encoding="utf-8"), used)
    (out / SCRIPT).write_text(script, encoding="utf-8")
    digest = hashlib.sha256(script.encode()).hexdigest()[:20]
    for path, text in pages.items():
        if (changed := _ADDRESS.sub(rf"\g<1>{digest}", text)) != text:
            path.write_text(changed, encoding="utf-8")
    for path in (out / "_static").rglob("*.js.map"):  # for those who mend the theme: half of what its scripts weigh
        path.unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("build-finished", write_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
