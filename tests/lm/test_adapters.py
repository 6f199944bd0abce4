"""Adapters, and the base that each names, are checked before the library that reads both looks at them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from alignlib._core.errors import InputError
from alignlib.models import adapters, folder_checks
from alignlib.models.adapters import base_of
from tests.lm.test_hub_folder import as_on_the_hub

ADAPTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "has no base_model_name_or_path; write there the folder"),
    ({"base_model_name_or_path": None}, "has None as its base_model_name_or_path"),
    ({"base_model_name_or_path": ["base"]}, r"has \['base'\] as its base_model_name_or_path"),
    ({"base_model_name_or_path": "/nowhere/base"}, "names cannot be used: .*=/nowhere/base: there is no such folder"),
    (
        {"base_model_name_or_path": "b" * 5000},
        r"names cannot be used: .* cannot be looked up here \(File name too long",
    ),
    ({"base_model_name_or_path": "code"}, "names cannot be used: The config of .*=code names code on the hub"),
    ({"base_model_name_or_path": "deep"}, r"names cannot be used: The config of .*=deep promises 1e\+09 of 'n_layer'"),
    ({"base_model_name_or_path": "out"}, "names cannot be used: .* leads out of its folder"),
    ({"base_model_name_or_path": "cut"}, "names cannot be used: model.safetensors of .*=cut is cut short"),
    ({"base_model_name_or_path": "adapter"}, "names 'adapter' as its base .* holds an adapter itself; merge that"),
    (
        {"megatron_config": {"a": 1}, "megatron_core": "megatron.evil"},
        "names code or models elsewhere .megatron_config",
    ),
    ({"adapters": {"0": "someone/adapter"}}, "names code or models elsewhere .adapters"),
    ({"alora_invocation_tokens": [269]}, "acts after certain tokens only .alora_invocation_tokens., which cannot be"),
    (
        {"init_lora_weights": "pissa_niter_4"},
        "has 'pissa_niter_4' as init_lora_weights, by which each load .*merge the",
    ),
    ({"r": 10**9}, "has 1000000000 as 'r'; a rank lies between"),
    ({"rank_pattern": {"c_attn": -1}}, "has -1 as 'c_attn'; a rank lies between"),
    (
        {"lora_alpha": float("nan")},
        "^adapter_config.json of model=adapter has NaN as 'lora_alpha', which is no finite nu",
    ),
    ({"alpha_pattern": {"c_attn": float("inf")}}, "has Infinity as 'c_attn', which is no finite number"),
    ({"alpha_pattern": {"c_attn": True}}, "has True as 'c_attn', which is no number"),
    ({"base_model_name_or_path": "packed"}, "names cannot be used: .*=packed has a quantization_config, and models ar"),
    ({"base_model_name_or_path": "endless"}, "names cannot be used: .*=endless has Infinity as 'eps', which is no f"),
    ({"r": 0}, "has 0 as 'r'; a rank lies between"),
    ({"r": 0, "oft_block_size": 0}, "has 0 as 'r'; a rank lies between"),
    ({"r": 0, "oft_block_size": -2}, "has -2 as 'oft_block_size'; a rank lies between"),
]


@pytest.mark.parametrize(("config", "said"), ADAPTERS, ids=str)
def test_an_adapter_and_its_base_are_checked_as_any_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], said: str
) -> None:
    """The library that reads both checks nothing of the base, and imports what the adapter names."""
    monkeypatch.setattr(adapters, "find_spec", lambda _: "peft")
    monkeypatch.setattr(folder_checks, "find_spec", lambda _: "peft")
    monkeypatch.chdir(tmp_path)
    own: dict[str, dict[str, Any]] = {"code": {"attn_implementation": "someone/kernel"}, "deep": {"n_layer": 10**9}}
    own |= {"packed": {"quantization_config": {"quant_method": "fp8"}}, "endless": {"eps": float("inf")}}
    for name in ("base", *own, "out", "cut"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(own.get(name, {})))
    Path("out/model.safetensors.index.json").write_text('{"weight_map": {"a": "/etc/passwd"}}')
    Path("cut/model.safetensors").touch()
    Path("adapter").mkdir()
    written = Path("adapter/adapter_config.json")
    good = {"base_model_name_or_path": "base", "r": 4, "megatron_config": None}
    written.write_text(json.dumps(good))
    assert base_of("adapter", "model") == "base"
    assert base_of("base", "model") is None
    for start in (True, "gaussian", "pissa", "olora"):
        written.write_text(json.dumps({**good, "init_lora_weights": start}))
        assert base_of("adapter", "model") == "base"
    written.write_text(json.dumps({**good, "r": 0, "oft_block_size": 32}))  # by blocks, as is the default of OFT
    assert base_of("adapter", "model") == "base"
    written.write_text(json.dumps({**good, **config} if config else {}))
    with pytest.raises(InputError, match=said) as refused:
        base_of("adapter", "model")
    assert "adapter_config.json of model=adapter" in str(refused.value)
    Path("adapter/config.json").touch()
    with pytest.raises(InputError, match=r"holds both a model .* may have been merged or not"):
        base_of("adapter", "model")


class Base(torch.nn.Module):
    """Takes any adapter, as the library that reads both does with names that it knows."""

    def load_adapter(self, name: str, dtype: torch.dtype) -> SimpleNamespace:
        return SimpleNamespace(missing_keys=[], mismatched_keys=[], unexpected_keys=[])


A, B = "h.0.c_attn.lora_A", "base_model.model."


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            [f"{B}{A}.weight", f"{B}{A}.default.weight"],
            "two weights for one place, .*lora_A.default.* and .*lora_A.weig",
        ),
        ([f"{B}ln.weight", f"{B}ln.modules_to_save.default.weight"], "two weights for one place"),
        ([f"{B}{A}.weight", "h.0.c_attn.base_layer.weight"], "'h.0.c_attn.base_layer.weight' beside names that begin"),
        (
            [f"{B}{A}.weight", f"{B}score.weight"],
            "holds score.weight, which its base lacks, .*; add 'score' to modules_",
        ),
        ([], "has its weights in adapter_model.bin, which may hold code and is not read; save it again"),
        ([f"{B}{A}.weight", f"{B}ln.weight", f"{B}ln.original_module.weight"], ""),
        ([f"{A}.weight"], ""),
    ],
    ids=str,
)
def test_the_weights_of_an_adapter_are_those_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], said: str
) -> None:
    """Of two for one place the library takes either, and of a head that the config does not name none."""
    monkeypatch.setattr(adapters, "find_spec", lambda _: "peft")
    (tmp_path / "adapter_config.json").write_text("{}")
    if names:
        save_file({name: torch.zeros(1) for name in names}, tmp_path / "adapter_model.safetensors")
    else:
        (tmp_path / "adapter_model.bin").touch()
        empty = partial(adapters.put_on, Base(), str(tmp_path / "none"), "model", torch.float32, [])  # type: ignore
        (tmp_path / "none").mkdir()
        (tmp_path / "none" / "adapter_config.json").write_text("{}")
        with pytest.raises(InputError, match=r"holds no weights \(adapter_model.safetensors\); copy the adapter"):
            empty()
    put_on = partial(adapters.put_on, Base(), str(tmp_path), "model", torch.float32, ["score.weight"])  # type: ignore
    if said:
        with pytest.raises(InputError, match=said):
            put_on()
    else:
        assert put_on() == ("score.weight",)  # which is said where the model is loaded


@pytest.mark.parametrize("fetched", ["before", "while loading"])
@pytest.mark.parametrize("kind", [torch.float16, torch.int8, torch.float8_e4m3fn])
def test_weights_of_an_adapter_of_the_hub_are_looked_at_where_they_are_fetched_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: torch.dtype, fetched: str
) -> None:
    """Its name is no folder; on a machine that has not had it, they come while it is loaded."""
    from huggingface_hub import constants

    monkeypatch.setattr(adapters, "find_spec", lambda _: "peft")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    save_file({f"{B}{A}.weight": torch.ones(2).to(kind)}, folder / "adapter_model.safetensors")
    as_on_the_hub(folder, tmp_path / "hub", "owner/adapter")
    held = next((tmp_path / "hub").rglob("adapter_model.safetensors"))
    late = held.rename(held.with_suffix(".late")) if fetched == "while loading" else held
    nothing, seen = SimpleNamespace(missing_keys=[], mismatched_keys=[], unexpected_keys=[]), list[str]()

    def load_adapter(_: Base, name: str, **__: object) -> SimpleNamespace:
        seen.append(str(late.rename(held)))
        return nothing

    monkeypatch.setattr(Base, "load_adapter", load_adapter)
    put_on = partial(adapters.put_on, Base(), "owner/adapter", "model", torch.float32, [])  # type: ignore
    if kind.is_floating_point and kind.itemsize > 1:
        assert put_on() == ()
    else:
        with pytest.raises(InputError, match=f"^model=owner/adapter holds '{B}{A}.weight' as (I8|F8_E4M3), numbers th"):
            put_on()
        assert len(seen) == (fetched == "while loading")  # as early as can be


class Tied(Base):
    """Two embeddings that are one weight, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.head, self.ln_f = torch.nn.Embedding(3, 2), torch.nn.Linear(2, 3), torch.nn.LayerNorm(2)
        self.head.weight = self.wte.weight

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.wte

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head


@pytest.mark.parametrize(
    ("held", "config", "said"),
    [
        ({"wte.weight": 1.0}, {}, "holds wte.weight, and its base has one weight for head.weight and wte.weight; both"),
        ({"head.weight": 1.0}, {}, "holds head.weight, and its base has one weight for"),
        ({"wte.weight": 1.0, "head.weight": 2.0}, {}, "both are to be there and the same"),
        ({"wte.weight": 1.0, "head.weight": 1.0}, {}, ""),
        ({"wte.weight": 1.0}, {"modules_to_save": ["wte"]}, ""),
        ({"ln_f.weight": 1.0}, {"modules_to_save": ["_f"]}, ""),  # by the end of the name, as the library does
        ({"ln_f.weight": 1.0}, {}, "holds ln_f.weight, a weight of its base that adapter_config.json does not name"),
        ({"ln_f.base_layer.bias": 1.0}, {"bias": "all"}, ""),
        ({"ln_f.base_layer.bias": 1.0}, {"bias": "none"}, "holds ln_f.bias, a weight of its base"),
    ],
    ids=str,
)
def test_weights_of_the_base_are_named_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: dict[str, float], config: dict[str, Any], said: str
) -> None:
    """The library would replace one of two that are one, or a layer of the base that nothing speaks of."""
    monkeypatch.setattr(adapters, "find_spec", lambda _: "peft")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    weights = {f"{B}{A}.weight": torch.zeros(1), **{f"{B}{key}": torch.full((3, 2), x) for key, x in held.items()}}
    save_file(weights, tmp_path / "adapter_model.safetensors")
    put_on = partial(adapters.put_on, Tied(), str(tmp_path), "model", torch.float32, [])  # type: ignore
    if said:
        with pytest.raises(InputError, match=said):
            put_on()
    else:
        assert put_on() == ()


DORA = "h.0.c_attn.lora_magnitude_vector"


@pytest.mark.parametrize(
    ("looked_for", "said"),
    [
        ("h.0.c_attn.ranknum.default", "is an AdaLoRA, which is not read as it is saved; merge the adapter"),
        (
            f"{DORA}.default.weight",
            f"holds '{DORA}', which is not looked for under the name that it is saved by; merge",
        ),
    ],
)
def test_a_weight_that_is_not_saved_as_it_is_looked_for_is_no_error_of_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_for: str, said: str
) -> None:
    """Of AdaLoRA it is not saved at all, of DoRA without the name of the adapter."""
    monkeypatch.setattr(adapters, "find_spec", lambda _: "peft")
    (tmp_path / "adapter_config.json").write_text("{}")
    save_file({f"{B}{A}.weight": torch.zeros(1), f"{B}{DORA}": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    lacking = SimpleNamespace(missing_keys=[looked_for], mismatched_keys=[], unexpected_keys=[])
    monkeypatch.setattr(Base, "load_adapter", lambda *_, **__: lacking)
    with pytest.raises(InputError, match=said) as refused:
        adapters.put_on(Base(), str(tmp_path), "model", torch.float32, [])  # type: ignore
    assert "correct" not in str(refused.value)
