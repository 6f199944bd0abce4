"""Minimal inputs that broke a reader once, found by ``make fuzz``: each stays a case.

A case names the file's ending, its content and the command that reads it; the command must answer, or refuse in one
sentence.
"""

from __future__ import annotations

__all__ = ["CORPUS"]

CORPUS: list[tuple[str, bytes, str]] = [
    ("csv", b"step,kl,reward\n0.0,1e308,0.0", "overlay"),  # times a length of 3
    ("csv", b"step,kl,reward\n0,1,-1e200\n1,2,1e200\n2,3,0\n", "overlay"),
    ("csv", b"prompt_id,log_prob,base_log_prob,token_kl\n0,0,0,0\n0,0,-1.9e77,0\n", "kl"),
    ("csv", b"prompt_id,log_prob,base_log_prob\n0,-1e29,0\n0,0,-1e29\n1,-3,-4\n", "kl"),
    ("jsonl", b'{"prompt_id":1,"token_log_prob":[-1e300,-1e300],"base_token_log_prob":[0,-1]}\n' * 3, "kl"),
    ("csv", b"prompt_id,log_prob,base_log_prob,token_kl\n0,0,0,1e300\n0,0,-1,1e300\n", "kl"),
    (
        "jsonl",
        (
            b'{"step":1,"prompt_id":"a","reward":1,"n_tokens":4,"log_prob":-5,"base_log_prob":-6}\n'
            b'{"step":1,"prompt_id":"a","reward":1e308,"n_tokens":6,"log_prob":-6,"base_log_prob":-6}\n'
        ),
        "overlay",
    ),
]
