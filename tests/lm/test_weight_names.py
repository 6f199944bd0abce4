"""Of two weights for one place of a model the library takes either: such folders are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from alignlib._core.errors import InputError
from alignlib.models.loading import load_language_model

Weights = dict[str, Tensor]
HEAD, WHOLE = "transformer.", "model.safetensors"


def _in_two(folder: Path, weights: Weights, twice: str = "") -> None:
    names = sorted(weights)
    parts = {"a.safetensors": names[: len(names) // 2], "b.safetensors": names[len(names) // 2 :]}
    for part, held in parts.items():
        save_file({key: weights[key] for key in {*held, twice} - {""}}, folder / part, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: part for part, held in parts.items() for key in held}}
    (folder / f"{WHOLE}.index.json").write_text(json.dumps(index))


def _write(change: Callable[[Weights], Weights]) -> Callable[[Path, Weights], None]:
    return lambda folder, weights: save_file(change(weights), folder / WHOLE, metadata={"format": "pt"})


def _beside(name: str, like: str) -> Callable[[Path, Weights], None]:
    return _write(lambda weights: {**weights, name: torch.zeros_like(weights[like])})


def _twice(folder: Path, weights: Weights) -> None:
    (folder / WHOLE).unlink()
    _in_two(folder, weights, f"{HEAD}wpe.weight")


def _parts(folder: Path, weights: Weights) -> None:
    (folder / WHOLE).unlink()
    _in_two(folder, weights)


ATTENTION = "h.0.attn.c_attn"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_parts, ""),
        (_write(lambda weights: {key.removeprefix(HEAD): one for key, one in weights.items()}), ""),
        (_beside("score.weight", f"{HEAD}ln_f.weight"), ""),  # the head of another model
        (
            _in_two,
            "holds its weights twice, in model.safetensors and in the files that .* names, such as 'a.safe",
        ),
        (_twice, "holds the weight 'transformer.wpe.weight' twice, in a.safetensors and in b.safetensors"),
        (
            _beside(f"{ATTENTION}.weight", f"{HEAD}{ATTENTION}.weight"),
            f"two weights for one place, '{ATTENTION}.weight' and 'transformer.{ATTENTION}.weight'",
        ),
        (_beside(f"{HEAD}ln_f.gamma", f"{HEAD}ln_f.weight"), "two weights for one place, 'transformer.ln_f.gamma' and"),
        (
            _beside(f"{HEAD}{ATTENTION}.lora_A.weight", f"{HEAD}{ATTENTION}.weight"),
            "a weight of an adapter, 'transformer.h.0.attn.c_attn.lora_A.weight', that was not merged",
        ),
        (
            _beside(f"{HEAD}wpe.bias", f"{HEAD}ln_f.bias"),
            "the weight 'transformer.wpe.bias', for which its config has no place in that layer",
        ),
        (
            _beside(f"base_model.model.{HEAD}wpe.weight", f"{HEAD}wpe.weight"),
            "two weights for one place, 'base_model.model.transformer.wpe.weight' and 'transformer.wpe.weight'",
        ),
        (
            _write(lambda weights: {key: one.to(torch.int8) for key, one in weights.items()}),
            "holds 'transformer.h.0.attn.c_attn.(weight|bias)' as I8, and config.json has no quantization_config that",
        ),
    ],
    ids=range(11),
)
def test_a_weight_is_there_once(
    zoo: dict[str, str], tmp_path: Path, change: Callable[[Path, Weights], None], said: str
) -> None:
    """Whole and in parts, in two parts, under two names, or without a place."""
    folder = tmp_path / "m"
    shutil.copytree(zoo["gpt2"], folder)
    change(folder, load_file(folder / WHOLE))
    load = {"device": torch.device("cpu"), "dtype": torch.float32}
    if said:
        with pytest.raises(InputError, match=said):
            load_language_model(str(folder), **load)  # type: ignore[arg-type]
        return
    found, meant = (load_language_model(one, **load).model.state_dict() for one in (str(folder), zoo["gpt2"]))  # type: ignore[arg-type]
    assert all(found[key].equal(one) for key, one in meant.items())


def test_a_config_of_a_far_larger_model_is_refused_before_it_is_made(zoo: dict[str, str], tmp_path: Path) -> None:
    """Of a model type that the other keys do not fit the library makes the default, of billions."""
    folder = tmp_path / "m"
    shutil.copytree(zoo["gpt2"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llama", "architectures": None}))
    with pytest.raises(InputError, match=r"promises a LlamaForCausalLM of 6.\d+e\+09 numbers, and the folder holds"):
        load_language_model(str(folder), device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize(
    ("kind", "shown"), [(torch.int8, "I8"), (torch.bool, "BOOL"), (torch.float8_e4m3fn, "F8_E4M3")]
)
def test_numbers_that_stand_for_others_need_to_be_said_so(
    zoo: dict[str, str], tmp_path: Path, kind: torch.dtype, shown: str
) -> None:
    """One bias is enough, and neither null nor other words of a config say anything of it."""
    folder, bias = tmp_path / "m", f"{HEAD}{ATTENTION}.bias"
    shutil.copytree(zoo["gpt2"], folder)
    weights = load_file(folder / WHOLE)
    save_file({**weights, bias: weights[bias].to(kind)}, folder / WHOLE, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": None}))
    with pytest.raises(InputError, match=f"holds '{bias}' as {shown}, and config.json has no quantization_config"):
        load_language_model(str(folder), device=torch.device("cpu"), dtype=torch.float32)
