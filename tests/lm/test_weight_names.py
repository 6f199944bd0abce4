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
from alignlib.models import loading
from alignlib.models.loading import load_language_model, load_reward_model
from alignlib.models.weight_names import check_adapter, check_places
from tests.lm.test_hub_folder import as_on_the_hub

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
            "holds 'transformer.h.0.attn.c_attn.(weight|bias)' as I8, numbers that stand for others, and models are",
        ),
        *(
            (
                _beside(f"{HEAD}{ATTENTION}{end}", f"{HEAD}ln_f.bias"),
                f"holds '{HEAD}{ATTENTION}{end}', which GPT2LMHeadModel does not take. .*dequan.*take it out of",
            )
            for end in (".weight_scale_inv", ".of.any_name", "_scale", "-scale", "Scale", ".input_scale", ".inv_freq")
        ),
    ],
    ids=range(18),
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


LOAD = {"device": torch.device("cpu"), "dtype": torch.float32}


def _load(folder: Path, weights: Weights, **config: object) -> dict[str, Tensor]:
    held = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**held, **config}))
    save_file(weights, folder / WHOLE, metadata={"format": "pt"})
    return load_language_model(str(folder), **LOAD).model.state_dict()  # type: ignore[arg-type]


@pytest.fixture
def folder(zoo: dict[str, str], tmp_path: Path) -> Path:
    """A GPT-2 to change."""
    return shutil.copytree(zoo["gpt2"], tmp_path / "m")


@pytest.mark.parametrize(
    ("kind", "shown"), [(torch.int8, "I8"), (torch.bool, "BOOL"), (torch.float8_e4m3fn, "F8_E4M3")]
)
def test_numbers_that_stand_for_others_are_refused_before_anything_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: torch.dtype, shown: str
) -> None:
    """One bias is enough; a config whose key is null says nothing."""
    from transformers import AutoModelForCausalLM

    weights, bias = load_file(folder / WHOLE), f"{HEAD}{ATTENTION}.bias"
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", None)
    with pytest.raises(InputError, match=f"holds '{bias}' as {shown}, numbers that stand for others, and models are"):
        _load(folder, {**weights, bias: weights[bias].to(kind)}, quantization_config=None)


def _of_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    from huggingface_hub import constants

    as_on_the_hub(folder, folder.parent / "hub", "owner/name")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder.parent / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return "owner/name"


@pytest.mark.parametrize("kind", [torch.float16, torch.int8])
@pytest.mark.parametrize("where", ["pickle", "pickles", "pickle of another index", "hub", "pickle of the hub"])
def test_numbers_that_stand_for_others_are_seen_in_pickles_and_on_the_hub(
    folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, kind: torch.dtype
) -> None:
    """The library casts them without a word."""
    weights, bias, name = load_file(folder / WHOLE), f"{HEAD}{ATTENTION}.bias", str(folder)
    weights |= {bias: weights[bias].to(kind), f"{HEAD}h.0.attn.bias": torch.ones(1, 1, 8, 8, dtype=torch.bool)}
    if where == "hub":
        save_file(weights, folder / WHOLE, metadata={"format": "pt"})
    else:
        (folder / WHOLE).unlink()
        file = "pytorch_model.bin" if where in ("pickle", "pickle of the hub") else "pytorch_model-1.bin"
        torch.save({**weights, "step": 3}, folder / file)  # what is no tensor hides none
        index = {"metadata": {}, "weight_map": dict.fromkeys(weights, file)}
        if file.endswith("-1.bin"):
            whole = "pytorch_model.bin" if where == "pickles" else WHOLE
            (folder / f"{whole}.index.json").write_text(json.dumps(index))
    if where.endswith("hub"):
        name = _of_the_hub(folder, monkeypatch)
    if kind.is_floating_point:
        found = load_language_model(name, **LOAD).model.state_dict()  # type: ignore[arg-type]
        assert found[bias].equal(weights[bias].float())
        return
    with pytest.raises(InputError, match=f"^model={name} holds '{bias}' as (I8|torch.int8), numbers that stand for"):
        load_language_model(name, **LOAD)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "config",
    [
        {"quantization_config": {}},
        {"quantization_config": False},
        {"quantization_config": "x"},
        {"quantization_config": {"quant_method": "fp8"}},
        {"text_config": {"quantization_config": {"bits": 8}}},
        {"parts": [{"of": {"quantization_config": {"load_in_8bit": True}}}]},
    ],
    ids=str,
)
@pytest.mark.parametrize("where", ["folder", "hub"])
def test_a_config_that_says_how_weights_are_packed_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, object], where: str
) -> None:
    """Whatever it says, and whatever the weights are; of a name on the hub, too."""
    held, name = json.loads((folder / "config.json").read_text()), str(folder)
    (folder / "config.json").write_text(json.dumps({**held, **config}))
    if where == "hub":
        name = _of_the_hub(folder, monkeypatch)
    with pytest.raises(
        InputError, match=rf"^config.json of reward_model={name} has a quantization_config, and mod.*tab"
    ):
        load_reward_model(name, **LOAD)  # type: ignore[arg-type]


def test_a_config_that_names_another_file_of_weights_is_refused(folder: Path) -> None:
    """Which none of the checks of weights would see."""
    with pytest.raises(InputError, match=r"has 'other\.safetensors' as transformers_weights; weights are"):
        _load(folder, load_file(folder / WHOLE), transformers_weights="other.safetensors")


def test_masks_and_what_no_model_takes_may_be_whole_numbers(folder: Path) -> None:
    """Old files hold the mask of attention in bytes, and positions; parts of other models are left out."""
    weights = load_file(folder / WHOLE)
    mask = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
    more = {f"{HEAD}h.0.attn.bias": mask, "h.0.attn.masked_bias": mask.bool(), f"{HEAD}position_ids": torch.arange(8)}
    found = _load(folder, {**weights, **more, "of.another.codes": mask[0].clone()}, quantization_config=None)
    assert all(found[key].equal(one) for key, one in weights.items() if key in found)


@pytest.mark.parametrize("end", ["experts.gate_up_proj", "gate_up_proj_bias", "sinks"])
@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e5m2])
def test_weights_of_any_name_are_looked_at(zoo: dict[str, str], tmp_path: Path, end: str, kind: torch.dtype) -> None:
    """Of experts, say, whose names end in neither weight nor bias."""
    from transformers import GptOssConfig, GptOssForCausalLM

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = GptOssConfig(
        **sizes, vocab_size=40, num_key_value_heads=1, head_dim=4, num_local_experts=2, num_experts_per_tok=1
    )
    folder = shutil.copytree(zoo["gpt2"], tmp_path / "m")
    GptOssForCausalLM(config).save_pretrained(folder)
    weights = load_file(folder / WHOLE)
    name = next(key for key in weights if key.endswith(end))
    with pytest.raises(InputError, match=f"holds '{name}' as (I8|F8_E5M2), numbers that stand for others"):
        _load(folder, {**weights, name: weights[name].to(kind)})


def test_a_number_that_is_no_parameter_is_looked_at(zoo: dict[str, str], tmp_path: Path) -> None:
    """The library keeps a bias of experts as it is stored; whole, it would look like a mask."""
    from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 4}
    experts = {"moe_intermediate_size": 8, "n_routed_experts": 2, "num_experts_per_tok": 1, "first_k_dense_replace": 0}
    folder = shutil.copytree(zoo["gpt2"], tmp_path / "m")
    config = Glm4MoeConfig(**sizes, **experts, vocab_size=40, num_key_value_heads=1, n_group=1, topk_group=1)
    Glm4MoeForCausalLM(config).save_pretrained(folder)
    weights = load_file(folder / WHOLE)
    name = next(key for key in weights if key.endswith("e_score_correction_bias"))
    with pytest.raises(InputError, match=f"holds '{name}' as I16, numbers that stand for others"):
        _load(folder, {**weights, name: torch.tensor([3, 1]).short()})


def test_an_adapter_is_saved_in_floating_point() -> None:
    """It has no config of scales."""
    with pytest.raises(InputError, match=r"model=m holds 'h.0.lora_B.weight' as F8_E4M3, numbers that stand for other"):
        check_adapter({"h.0.lora_A.weight": "F32", "h.0.lora_B.weight": "F8_E4M3"}, "model=m")


def _of_layers() -> torch.nn.Module:
    base = torch.nn.ModuleDict({"attn": torch.nn.ModuleDict({"c_attn": torch.nn.Linear(1, 1)})})
    base["wpe"], base["experts"] = torch.nn.Embedding(1, 1), torch.nn.Module()
    base["wpe"].register_buffer("weights", torch.ones(1), persistent=False)
    base["experts"].act = torch.nn.ReLU()
    base["experts"].down = torch.nn.Parameter(torch.ones(1))
    model = torch.nn.ModuleDict({"of": base, "lm_head": torch.nn.Linear(1, 1), "rel_attn": torch.nn.Module()})
    model["rel_attn"].q = torch.nn.Parameter(torch.ones(1))
    model.base_model_prefix = "of"  # type: ignore[assignment]
    return model


def test_what_a_model_makes_anew_and_what_is_of_other_tasks_is_left_out() -> None:
    """Masks and frequencies in an attention, a buffer that is not saved, heads and towers."""
    anew = ["attn.bias", "of.attn.masked_bias", "of.attn.rotary_emb.inv_freq", "wpe.weights"]
    anew += ["of.attn.rotary_emb.cos_cached"]
    others = ["v_head.summary.weight", "module.of.pooler.dense.bias", "of.tower.encoder.attn.c_attn.weight"]
    others += ["tower.attn.c_attn.weight", "tower.attn.c_attn._extra_state", "lm_head_2.attn.c_attn.bias"]
    check_places({}, _of_layers(), [*anew, *others, "cls.seq_relationship.weight", "image_newline"], "m")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "of.experts.0.down.s",
            "attn.k_scale",
            "attn.scale",
            "module.of.attn.c_attn.s",
            "of/attn/c_attn/weight_scale",
        ),
        *("scales.of.attn.c_attn", "scales.attn.c_attn", "q.of-attn-c_attn", "a.b.c.of.wpe", "scales.lm_head.weight"),
        *(
            "lm_head.q_scale",
            "lm_headScale",
            "scale_lm_head",
            "mean",
            "lm_head.inv_freq",
            "rel_attn.q_scale",
            "rel_attn.q.s",
        ),
        *(
            "output.scales",
            "blk.0.ffn_down.scale",
            "quant_scales.l_0_down",
            "t.zero_point.weight",
            "kvAmax.0",
            "scales",
        ),
        *("attn.c_attn._extra_state", "base_model.model.of.attn.qkv.scale", "attn.c_attn.rotary_emb.inv_freq"),
    ],
)
def test_what_a_model_does_not_take_is_refused_by_any_name(name: str) -> None:
    """Scales stand in a layer, beside it, or in a group that is named after layers."""
    with pytest.raises(InputError, match=f"^m holds '{name}', which ModuleDict does not take"):
        check_places({}, _of_layers(), [name], "m")


def test_all_that_a_model_does_not_take_is_counted() -> None:
    """A tower has hundreds; what they share is said."""
    said = (
        "^m holds 'a.b.q.scales' and 2 more that begin with 'a.b.', which .* they are left-overs .* delete those keys"
    )
    with pytest.raises(InputError, match=said):
        check_places({}, _of_layers(), ["a.b.q.scales", "a.b.scale", "a.b.scale_2", "v_head.weight"], "m")


@pytest.mark.parametrize("wrapper", ["_forward_module.", "policy.", "module.", "a.b."])
def test_a_model_in_any_wrapper_is_named_so(wrapper: str) -> None:
    """A tower with names like its own is not it, and the head of another task is no wrapped one."""
    missing = [*_of_layers().state_dict()]
    unused = ["a_tower.of.attn.c_attn.weight", *(f"{wrapper}{key}" for key in missing)]
    with pytest.raises(InputError, match=rf"^m holds 'of.\S+' by another name, '{wrapper}of.\S+', which is not read"):
        check_places({}, _of_layers(), unused, "m", missing)
    check_places({}, _of_layers(), ["sop_head.lm_head.weight"], "m", ["lm_head.weight"])


def test_a_model_that_is_saved_in_a_wrapper_is_named_so() -> None:
    """None of its weights would be read."""
    with pytest.raises(InputError, match=r"^m holds 'lm_head.weight' by another name, 'module.lm_head.weight', which"):
        check_places({}, _of_layers(), ["module.lm_head.weight"], "m")


@pytest.mark.parametrize(
    ("number", "dtype", "said"),
    [
        (
            float("nan"),
            torch.float32,
            r"^model=.* has nan among the weights '.*c_attn.bias', as read in float32; .* trained\.$",
        ),
        (-float("inf"), torch.float32, r"has -inf among the weights '.*c_attn.bias', as read in float32"),
        (1e300, torch.bfloat16, r"has inf among the weights '.*c_attn.bias', as read in bfloat16"),
        (1e6, torch.float16, r"has inf among .* as read in float16; .* or give dtype='float32', which holds larger"),
    ],
)
def test_weights_are_finite_numbers(folder: Path, number: float, dtype: torch.dtype, said: str) -> None:
    """Also those that become infinite in the number format of a run."""
    weights, bias = load_file(folder / WHOLE), f"{HEAD}{ATTENTION}.bias"
    weights[bias] = weights[bias].double()
    weights[bias][0] = number
    save_file(weights, folder / WHOLE, metadata={"format": "pt"})
    with pytest.raises(InputError, match=said):
        load_language_model(str(folder), device=torch.device("cpu"), dtype=dtype)


def test_weights_of_an_adapter_are_finite_numbers(zoo: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at once it lies on its base."""

    def put_on(model: torch.nn.Module, *_: object) -> tuple[str, ...]:
        model.register_parameter("lora_A", torch.nn.Parameter(torch.tensor([1.0, float("inf")])))
        return ()

    monkeypatch.setattr(loading, "base_of", lambda *_: zoo["gpt2"])
    monkeypatch.setattr(loading, "put_on", put_on)
    with pytest.raises(InputError, match=r"^model=.* has inf among the weights 'lora_A', as read in float32"):
        load_language_model(zoo["llama"], **LOAD)  # type: ignore[arg-type]
