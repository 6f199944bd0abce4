"""The whole book in one file: as PDF and as EPUB, made from the pages as they were built."""

from __future__ import annotations

from alignbook.volume.browser import BrowserError
from alignbook.volume.epub import write_epub
from alignbook.volume.pdf import write_pdf

__all__ = ["BrowserError", "write_epub", "write_pdf"]
