"""The book over http, one headless Chromium for the session, and how the processes that execute notebooks start."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from alignbook import processes
from tests.built_book import HTML, NO_BROWSER, browser_here, need_book

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--js-flags=--min-semi-space-size=64 --max-semi-space-size=128",  # a page's garbage is swept seldom, not often
]

if "forkserver" in multiprocessing.get_all_start_methods():  # where there is none, every process imports papermill
    processes.context = multiprocessing.get_context("forkserver")
    processes.context.set_forkserver_preload(["alignbook.runner", "papermill"])


class QuietHandler(SimpleHTTPRequestHandler):
    """Serve files without a line on the terminal for each."""

    def log_message(self, format: str, *args: object) -> None:  # the name is inherited
        """Say nothing."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Address of the built book, served from this process."""
    need_book()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(HTML))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def browser(chromium: Browser) -> Browser:
    """A browser for the pages of the built book."""
    need_book()
    return chromium


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, started once. Whatever asks for it has the mark `browser` (`conftest.py` of the root)."""
    from playwright.sync_api import Error, sync_playwright

    if (executable := browser_here()) is None:
        pytest.fail(NO_BROWSER, pytrace=False)
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        except Error as error:
            pytest.fail(f"Chromium does not start: {error.message.splitlines()[0]}", pytrace=False)
        yield started
        started.close()
