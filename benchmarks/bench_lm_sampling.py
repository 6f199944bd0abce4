"""``alignlib sample``, log-probabilities and files included, against loops of ``model.generate`` that keep texts."""

from __future__ import annotations

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.timing import compare, report


def make_model(folder: Path) -> None:
    """Save a GPT-2 of 5 M weights with random weights and a tokenizer of words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    sizes = {"n_positions": 512, "n_embd": 256, "n_layer": 4, "n_head": 4, "eos_token_id": 0, "bos_token_id": None}
    GPT2LMHeadModel(GPT2Config(vocab_size=8000, **sizes)).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(8000)}, unk_token="w1"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w0", pad_token="w1").save_pretrained(folder)


def main(quick: bool = False) -> None:
    """Time and compare; ``quick`` takes fewer prompts and one pair."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        report("sampling a language model", skipped="torch and transformers are not installed; see `make lm-setup`")
        return
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from alignlib.models.prompts import as_prompts
    from alignlib.models.sample import sample
    from alignlib.models.sample_job import SampleSettings

    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    n_prompts, n, new = (2, 16, 16) if quick else (4, 32, 16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder)
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        texts = [" ".join(f"w{(37 * i + j) % 7990 + 2}" for j in range(80 + 2 * i)) for i in range(n_prompts)]
        options: dict[str, Any] = {"do_sample": True, "top_k": 0, "max_new_tokens": new, "pad_token_id": 1}

        def ours() -> None:
            settings = SampleSettings(n=n, max_new_tokens=new)
            sample(name, as_prompts(texts), folder / "o.parquet", settings=settings, force=True, say=lambda _: None)

        def one_by_one() -> None:
            with torch.inference_mode():
                for text in texts:
                    for _ in range(n):
                        tokenizer.batch_decode(model.generate(**tokenizer(text, return_tensors="pt"), **options))

        def prompt_by_prompt() -> None:
            with torch.inference_mode():
                for text in texts:
                    inputs = tokenizer(text, return_tensors="pt")
                    tokenizer.batch_decode(model.generate(**inputs, num_return_sequences=n, **options))

        for peer in (one_by_one, prompt_by_prompt):
            figures = compare(ours, peer, pairs=1 if quick else 2)
            report(
                "sampling a language model",
                responses=n_prompts * n,
                tokens=new,
                peer=f"model.generate, {peer.__name__.replace('_', ' ')}",
                responses_per_second=round(n_prompts * n / figures["seconds"]),
                **figures,
            )


if __name__ == "__main__":
    main("--quick" in sys.argv)
