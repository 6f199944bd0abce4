"""The picture that the repository keeps is the one its script draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_picture_is_up_to_date() -> None:
    drawn = "import sys; sys.path.insert(0, 'book'); import picture; sys.stdout.buffer.write(picture.draw())"
    result = subprocess.run([sys.executable, "-c", drawn], cwd=ROOT, capture_output=True, check=True)
    assert result.stdout == (ROOT / "book/_assets/limit.svg").read_bytes(), "run `python book/picture.py`"
