"""What a reader keeps of a release or of one run: files, what made them, their sums; and how all of it is checked.

A bundle is a folder or a ZIP archive with ``ro-crate-metadata.json`` (a Workflow Run RO-Crate), ``SHA256SUMS``,
executed notebooks in ``notebooks/`` and their claims and numbers in ``results/``.
"""

from __future__ import annotations

from alignbook.bundle.crate import Crate, RunOf
from alignbook.bundle.opened import Bundle, BundleError, open_bundle
from alignbook.bundle.results import results
from alignbook.bundle.sums import SUMS, digest_of, sums_text
from alignbook.bundle.verify import Verified, verify

__all__ = [
    "SUMS",
    "Bundle",
    "BundleError",
    "Crate",
    "RunOf",
    "Verified",
    "digest_of",
    "open_bundle",
    "results",
    "sums_text",
    "verify",
]
