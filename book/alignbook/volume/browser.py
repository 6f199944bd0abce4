"""Chromium, which sets mathematics and prints: the one of the system, driven by Playwright, without any network."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from alignlib._core.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["BrowserError", "find_browser", "page_of_browser"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# As root, which a container is, Chromium has no sandbox; what it opens are our own pages.
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--disable-dev-shm-usage")


class BrowserError(InputError):
    """There is no browser that the PDF and the EPUB could be made with."""


def find_browser() -> str:
    """Return the program.

    Raises
    ------
    BrowserError
        Where there is none.
    """
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise BrowserError(
            "The PDF and the EPUB are made with Chromium, and there is none on this machine: install it (on Debian, "
            "apt-get install chromium), or leave both out (make release WITHOUT_VOLUMES=1)."
        )
    return found


@contextlib.contextmanager
def page_of_browser(browser: Browser | None = None) -> Iterator[Page]:
    """Yield a page that may read local files and nothing else, of a browser that runs already or of a new one."""
    if browser is not None:
        page = _page(browser)
        try:
            yield page
        finally:
            page.close()
        return
    program = find_browser()
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise BrowserError(
            "The PDF and the EPUB need the package playwright: `make setup` installs it, or leave both out (make "
            "release WITHOUT_VOLUMES=1)."
        ) from None
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        except Error as error:
            raise BrowserError(
                f"{program} does not start ({error.message.splitlines()[0]}); the PDF and the EPUB need it, or leave "
                "both out (make release WITHOUT_VOLUMES=1)."
            ) from None
        try:
            yield _page(started)
        finally:
            started.close()


def _page(browser: Browser) -> Page:
    """A page as wide as the column of the PDF, so that what is measured is what is printed."""
    page = browser.new_page(viewport={"width": 650, "height": 960})
    page.route("**/*", lambda route: route.continue_() if _is_local(route.request.url) else route.abort())
    return page


def _is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "about:", "blob:"))
