"""Models of others, as far as it takes no PyTorch: what a config promises, and chat templates, which are programs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from alignlib._core.errors import InputError
from alignlib.models import adapters, bounded, folder_checks
from alignlib.models.adapters import _check_expressions, put_on
from alignlib.models.batching import computing
from alignlib.models.folder_checks import _named_code, check_counts, check_files, check_finite, check_name, check_shards
from alignlib.models.guest import Guest
from alignlib.models.loaded import fingerprint
from alignlib.models.loading import _ends, _tokenizer
from alignlib.models.texts import encode_prompts, laid_out
from alignlib.models.tokenising import check_tokenizer, tokenised

CONFIGS: list[dict[str, Any]] = [
    {"n_layer": 10**9},
    {"num_hidden_layers": 10**18},
    {"text_config": {"num_experts": 10**6}},
    {"vision": [{"num_attention_heads": 10**6}]},
    {"num_labels": 10**12},
]
NAMING: list[dict[str, Any]] = [
    {"_attn_implementation": "someone/kernel"},
    {"attn_implementation": {"": "someone/kernel@v1:f"}},
    {"text_config": {"_experts_implementation": "someone/kernel"}},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_config_that_promises_too_much_is_one_sentence(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"promises 1e\+\d+ of '\w+', and the folder holds weights of 0 names"):
        check_counts(str(tmp_path), "model")


@pytest.mark.parametrize("config", [{"n_head": -2}, {"text_config": {"num_hidden_layers": -1}}, {"num_heads": 0}])
def test_a_config_of_fewer_than_no_parts_is_one_sentence(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"The config of model=.* has -?\d as '\w+'; correct config\.json"):
        check_counts(str(tmp_path), "model")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"lora_alpha": NaN}', "NaN as 'lora_alpha'"),
        ('{"alpha_pattern": {"c_attn": [1, -Infinity]}}', "-Infinity as 'c_attn'"),
        ('{"time_step_limit": [0.0, Infinity], "layer_norm_eps": 1e999}', "Infinity as 'layer_norm_eps'"),
        ('{"time_step_limit": [NaN, 1]}', "NaN as 'time_step_limit'"),
    ],
)
def test_a_number_of_a_config_is_finite(text: str, said: str) -> None:
    """But for a limit, of which infinity is none."""
    with pytest.raises(InputError, match=f"^config has {said}, which is no finite number; correct it"):
        check_finite(json.loads(text), "config")


@pytest.mark.parametrize("config", NAMING, ids=str)
def test_a_config_that_names_code_on_the_hub_is_seen(config: dict[str, Any]) -> None:
    found = _named_code(config)
    assert found is not None
    assert "someone/kernel" in str(found[1])


@pytest.mark.parametrize("content", ["", "[" * 10_000, "{", '"x"', "\0"], ids=repr)
def test_a_config_that_is_none_is_left_to_whoever_loads_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    check_counts(str(tmp_path), "model")


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/passwd", "a/../../b.safetensors"])
def test_an_index_of_weights_stays_in_its_folder(tmp_path: Path, shard: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    for held in ("[]", "{", '{"weight_map": {"a": "model-1.safetensors"}}'):
        index.write_text(held)
        check_shards(str(tmp_path), "model")
    index.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors", "b": shard}}))
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json of model=.* leads out of its folder"):
        check_shards(str(tmp_path), "model")


@pytest.mark.parametrize("given", ["x", [[0]], [None], {}, True], ids=str)
def test_the_end_of_a_response_is_a_token(given: Any) -> None:
    with pytest.raises(InputError, match="eos_token_id of model=m must be a token's number or a list of them"):
        _ends(given, "m", "model")


def test_a_tokenizer_that_fails_is_one_sentence() -> None:
    def tokenizer(*_: str, **__: bool) -> None:
        raise Exception("WordLevel error: Missing [UNK] token from the vocabulary")  # as the library does

    model: Any = SimpleNamespace(name="m", tokenizer=tokenizer, eos_ids=frozenset())
    with pytest.raises(InputError, match=r"tokenizer of m cannot take text 1 \(.*Missing \[UNK\].*tokenizer\.json"):
        encode_prompts(model, ["Say a word."], "text")


def endless(_: str) -> str:
    """Count for ever."""
    while True:
        pass


def large(_: str) -> str:
    """Fill the memory, as far as it goes."""
    return str(len([bytearray(1 << 28) for _ in range(1 << 20)]))


def failing(text: str) -> str:
    """Divide by nothing."""
    return str(len(text) / 0)


def long(text: str) -> str:
    """Make much of little."""
    return text * (1 << 25)


def leaving(_: str) -> str:
    """Leave."""
    sys.exit(0)


TEMPLATES = {
    endless: "takes more time or memory for prompt 2 than any template needs",
    large: "takes more time or memory for prompt 2 than any template needs",
    failing: r"cannot take prompt 2 \(.*division by zero\)",
    long: r"cannot take prompt 2 \(it makes a text of [\d,]+ characters of it\)",
    leaving: "takes more time or memory for prompt 2 than any template needs",
}


@pytest.mark.skipif(sys.platform != "linux", reason="bounded on Linux only, as the threat model says")
@pytest.mark.parametrize("program", TEMPLATES, ids=lambda program: program.__name__)
def test_a_chat_template_has_bounded_time_and_memory(monkeypatch: pytest.MonkeyPatch, program: Any) -> None:
    def apply_chat_template(messages: list[dict[str, str]], **_: object) -> str:
        text = messages[0]["content"]
        return program(text) if text == "hostile" else f"<{text}>"

    model: Any = SimpleNamespace(name="m", tokenizer=SimpleNamespace(apply_chat_template=apply_chat_template))
    rows = [[{"role": "user", "content": text}] for text in ("a\n\ud83d", "hostile", "c")]
    monkeypatch.setattr(bounded, "_SECONDS", 1)
    with pytest.raises(InputError, match=TEMPLATES[program]):
        laid_out(model, rows, opens=True)
    assert laid_out(model, rows[::2], opens=True) == ["<a\n\ud83d>", "<c>"]


class PanicException(BaseException):
    """As libraries of Rust raise it."""


def panicking(_: str) -> str:
    """Panic."""
    raise PanicException("no entry found for key")


TOKENIZERS = {
    large: "takes more time or memory for text 2 than any tokenizer needs, or aborts; look at its tokenizer.json",
    failing: r"cannot take text 2 \(.*division by zero\); look at its tokenizer\.json",
    panicking: r"cannot take text 2 \(no entry found for key\); look at its tokenizer\.json",
}


@pytest.mark.skipif(sys.platform != "linux", reason="bounded on Linux only, as the threat model says")
@pytest.mark.parametrize("program", TOKENIZERS, ids=lambda program: program.__name__)
def test_a_tokenizer_has_bounded_time_and_memory(program: Any) -> None:
    class Tokenizer:
        def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
            return {"input_ids": list(map(ord, text)), "attention_mask": [program(text)] if text == "hostile" else []}

        def decode(self, _: object) -> str:
            return str(program("hostile"))

        def __len__(self) -> int:
            return 2

    model: Any = SimpleNamespace(name="m", tokenizer=Tokenizer())
    with pytest.raises(InputError, match=TOKENIZERS[program]):
        tokenised(model, [("a",), ("hostile",)])
    assert tokenised(model, [("a",)]) == [{"input_ids": [97]}]
    made: Any = Tokenizer
    if program is failing:  # left to a sentence of its own, where it is used
        check_tokenizer(made, "model=m")
    elif program is panicking:
        with pytest.raises(InputError, match=r"tokenizer of model=m cannot be used \(no entry"):
            check_tokenizer(made, "model=m")


WEIGHTS = b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("generation_config.json", b'{"eos_token_id": [0, 5', "is not whole JSON"),
        ("generation_config.json", b"", "is not whole JSON"),
        ("tokenizer_config.json", "{}".encode("utf-16"), "is not UTF-8 text"),
        ("special_tokens_map.json", b"[" * 100_000, "is nested too deeply"),
        ("config.json", b"[1]", "holds list in place of names with values"),
        ("config.json", b'{"vocab_size": ' + b"9" * 5000 + b"}", "is not whole JSON"),
        ("model-1.safetensors.index.json", b"{", "is not whole JSON"),
        ("model.safetensors", b"", "is cut short"),
        ("model.safetensors", b"\x3d" + bytes(7) + WEIGHTS, "holds 0 bytes of weights where its header promises 4"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]", "has a damaged header"),
        ("tokenizer.json", None, "is no regular file"),
        ("chat_template.jinja", None, "is no regular file"),
    ],
)
def test_a_damaged_file_of_a_model_is_named(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    (tmp_path / "trainer_state.json").write_text("{")  # which nobody reads
    (tmp_path / "good.safetensors").write_bytes(len(WEIGHTS).to_bytes(8, "little") + WEIGHTS + bytes(4))
    check_files(str(tmp_path), "base")
    if content is None:
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"^{name} of base={tmp_path} {said}.*; copy or save the model again"):
        check_files(str(tmp_path), "base")


@pytest.mark.parametrize(
    ("held", "files", "words", "said"),
    [
        ([], ["vocab.json", "merges.txt"], 1, "holds no tokenizer, as where only the weights were saved; save"),
        (["tokenizer_config.json"], ["vocab.txt"], 5, "holds no tokenizer"),
        (["tokenizer_config.json"], None, 0, "holds no tokenizer"),  # of some kinds the library makes up none
        (["tokenizer.json"], ["tokenizer.json"], 1, "has an empty tokenizer"),
        (["tokenizer.json"], None, 0, r"cannot be loaded as a causal language model \(no backend\)"),
        (["own.words"], ["own.words"], 9, ""),
        (["tokenizer_config.json"], [], 9, ""),  # of characters: it needs no file
        (["spiece.model"], ["vocab.txt"], 9, ""),
    ],
)
def test_a_tokenizer_that_the_library_makes_up_is_none(
    tmp_path: Path, held: list[str], files: list[str] | None, words: int, said: str
) -> None:
    class Made(list[int]):
        vocab_files_names: ClassVar = dict(enumerate(files or ()))
        all_special_ids = (0,)

    def load() -> Any:
        if files is None:
            raise ValueError("no backend")
        return Made(range(words))

    for name in ("config.json", "model.safetensors", *held):
        (tmp_path / name).touch()
    kind: Any = SimpleNamespace(__name__="AutoModelForCausalLM")
    with pytest.raises(InputError, match=f"^model={tmp_path} {said}") if said else contextlib.nullcontext():
        assert len(_tokenizer(load, str(tmp_path), "model", kind)) == words


def test_any_name_may_stand_in_a_models_folder(tmp_path: Path) -> None:
    """Also one that is no UTF-8, and that of a folder."""
    model: Any = SimpleNamespace(name=str(tmp_path), base=None, model=SimpleNamespace(config=None))
    (tmp_path / "a.json").mkdir()
    found = {fingerprint(model)}
    for name in ("b.json", os.fsdecode(b"\xff.json"), os.fsdecode(b"\xfe.json")):
        (tmp_path / name).write_text("{")
        found.add(fingerprint(model))
    model.base = str(tmp_path / "a.json")  # the folder that an adapter is put on is part of the model
    found.add(fingerprint(model))
    (tmp_path / "a.json" / "model.safetensors").write_text("trained again")
    found.add(fingerprint(model))
    assert len(found) == 6


@pytest.mark.parametrize("beside", [True, False])
def test_an_adapter_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool) -> None:
    """Without peft the weights beside it would be taken for the whole model."""
    monkeypatch.setattr(folder_checks, "find_spec", lambda _: None)
    (tmp_path / "adapter_config.json").write_text("{}")
    if beside:
        (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds an adapter .* peft, not installed here; install it, or merge"):
        check_name(str(tmp_path), "model")


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({}, ""),
        (
            {"unexpected_keys": {"h.0.c_fc.lora_A.weight", "h.0.c_fc.lora_B.weight"}},
            "lora_A.weight and 1 more, for which",
        ),
        ({"unexpected_keys": {"score.weight"}}, "score.weight, for which SimpleNamespace with this .* has no place"),
        ({"missing_keys": {"h.0.lora_B.weight"}}, "has no weights for h.0.lora_B.weight, which .* promises"),
        ({"mismatched_keys": {("a", 1, 2)}}, "has no weights for .'a', 1, 2"),
        ({"error": RuntimeError("set ignore_mismatched_sizes")}, "have other sizes than adapter_config.json promises"),
        ({"error": KeyError("lora")}, r"cannot be put on its base \(KeyError: 'lora'\); correct adapter_config.json"),
    ],
    ids=["all", "unexpected matrices", "unexpected head", "missing", "other sizes", "refused sizes", "an error"],
)
def test_an_adapter_brings_all_its_weights_and_no_others(info: dict[str, Any], said: str) -> None:
    """Those that the base lacks are random, unless the adapter holds the whole layer."""

    def load_adapter(name: str, dtype: object) -> Any:
        assert (name, dtype) == ("m", "float32")
        if "error" in info:
            raise info["error"]
        keys = ("unexpected_keys", "missing_keys", "mismatched_keys")
        return SimpleNamespace(**{key: info.get(key, set()) for key in keys})

    held = ["score.original_module.weight", "score.modules_to_save.default.weight", "h.0.base_layer.weight"]
    model: Any = SimpleNamespace(
        load_adapter=load_adapter, state_dict=lambda: dict.fromkeys(held), named_modules=lambda: [("h.0", None)]
    )
    number: Any = "float32"
    with pytest.raises(InputError, match=said) if said else contextlib.nullcontext():
        assert put_on(model, "m", "model", number, ["score.weight", "h.0.weight"]) == ("h.0.weight",)


@pytest.mark.skipif(sys.platform != "linux", reason="bounded on Linux only, as the threat model says")
def test_an_expression_for_names_of_layers_has_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda _: "peft")
    monkeypatch.setattr(bounded, "_SECONDS", 1)
    layers = ["transformer.h.0.attn.c_attn", "score"]
    for config in ({"target_modules": ".*c_attn", "r": 4}, {"layers_pattern": ["(", "a{"]}):  # the second is no matter
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
        _check_expressions(layers, str(tmp_path), "model")
    (tmp_path / "adapter_config.json").write_text('{"alpha_pattern": {".*": 1, "(([a-z_.0-9]+)+)+!": 4}}')
    with pytest.raises(InputError, match=r"takes too long on this model, '\(\(\[a-z_.0-9\]\+\)\+\)\+!'; write a list"):
        _check_expressions(layers, str(tmp_path), "model")


def test_a_model_that_fails_at_its_work_is_one_sentence() -> None:
    model: Any = SimpleNamespace(name="m", role="reward_model")
    said = (
        r"reward_model=m fails on tokens that it is given \(IndexError: index out of range\); look at its config.json"
    )
    with pytest.raises(InputError, match=said), computing(model):
        raise IndexError("index out of range")
    with pytest.raises(RuntimeError, match="memory"), computing(model):  # for which the batch is halved
        raise RuntimeError("CUDA out of memory")


def test_what_a_function_of_others_leaves_is_put_back(tmp_path: Path) -> None:
    """Its umask would make the results unreadable, its handler Ctrl-C idle."""
    mask = os.umask(0o022)
    try:
        before = signal.getsignal(signal.SIGTERM)
        with contextlib.suppress(KeyError), Guest().visit():
            os.umask(0o777)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise KeyError
        assert signal.getsignal(signal.SIGTERM) is before
        (tmp_path / "made").touch()
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o644
    finally:
        os.umask(mask)
