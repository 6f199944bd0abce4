"""Where the sources lie on the network: one address in ``_config.yml``, from which every link that needs one is made.

While ``repository: url`` is empty there are no such links, and the pages say nothing of hosted notebooks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml

from alignlib._core.errors import InputError

__all__ = ["Repository", "read_repository"]

_GITHUB = re.compile(r"https://github\.com/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)")
_ADDRESS = re.compile(r"https://[\w.-]+(?::\d+)?/[\w./~+-]+")


@dataclass(frozen=True)
class Repository:
    """The repository at ``url``, and the branch that hosted notebooks are opened from.

    >>> here = Repository("https://github.com/someone/limits")
    >>> here.pages
    'https://someone.github.io/limits'
    >>> here.colab("notebooks/10_best_of_n.ipynb")
    'https://colab.research.google.com/github/someone/limits/blob/main/notebooks/10_best_of_n.ipynb'
    """

    url: str
    branch: str = "main"

    @property
    def pages(self) -> str:
        """Where the workflow publishes the book; empty where the repository is not on GitHub."""
        found = _GITHUB.fullmatch(self.url)
        if not found:
            return ""
        site = f"{found['owner'].lower()}.github.io"
        return f"https://{site}" if found["name"].lower() == site else f"https://{site}/{found['name']}"

    def binder(self, path: str) -> str:
        """The address that opens a notebook in Binder, which takes any git repository."""
        found = _GITHUB.fullmatch(self.url)
        where = f"gh/{found['owner']}/{found['name']}" if found else f"git/{quote(self.url, safe='')}"
        opened = quote(f"lab/tree/{path}", safe="")
        return f"https://mybinder.org/v2/{where}/{quote(self.branch, safe='')}?urlpath={opened}"

    def colab(self, path: str) -> str:
        """The address that opens a notebook in Colab, which reads from GitHub only: empty elsewhere."""
        found = _GITHUB.fullmatch(self.url)
        if not found:
            return ""
        repository = f"{found['owner']}/{found['name']}"
        return f"https://colab.research.google.com/github/{repository}/blob/{quote(self.branch)}/{path}"

    def colab_setup(self) -> str:
        """What the first cell in Colab must do: fetch the repository, and install what its notebooks import."""
        name = self.url.rpartition("/")[2]
        fetch = f"git clone -q --depth 1 --branch {self.branch} {self.url}"
        return f"!{fetch} && pip install -q './{name}[report]'\n%cd {name}/notebooks"


def read_repository(root: Path) -> Repository | None:
    """Read the address of a project's ``_config.yml``; None while there is none.

    Raises
    ------
    InputError
        Where what stands there is no address.
    """
    config = root / "_config.yml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else {}
    entry = (settings or {}).get("repository") or {}
    url = str(entry.get("url") or "").removesuffix("/").removesuffix(".git")
    if not url:
        return None
    if not _ADDRESS.fullmatch(url):
        raise InputError(
            f"_config.yml: repository: url must be an address such as https://github.com/OWNER/NAME; got {url!r}."
        )
    return Repository(url, str(entry.get("branch") or "main"))
