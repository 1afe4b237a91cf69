from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from forgetless.errors import ModelError
from forgetless.models.load import load_model, load_tokenizer, model_skeleton, pick_device
from forgetless.models.save import save_stage_model
from forgetless.plan import ModelConfig
from tests.tiny import build_model, build_tokenizer
from tests.training.build import differing, load, weights

IDS = torch.tensor([list(b"colour 0-3?")])


def adapted(folder: Path) -> Any:
    """A peft model whose adapter does something."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    return peft.get_peft_model(model, config).eval()


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be spoiled."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """An adapter folder with the tiny model as its base."""
    adapted(tiny_model).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_folder_is_loaded_ready_to_be_asked(tiny_model: Path) -> None:
    loaded = load(tiny_model)
    assert not loaded.model.training
    assert loaded.tokenizer.padding_side == "left"
    plain = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert differing(weights(loaded.model), weights(plain)) == []


@pytest.mark.parametrize(
    ("dtype", "found"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_weights_have_the_type_that_was_asked_for(
    dtype: str, found: torch.dtype, tiny_model: Path, tmp_path: Path
) -> None:
    saved = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    saved.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    assert {p.dtype for p in load(tmp_path, dtype=dtype).model.parameters()} == {found}


def test_weights_on_the_cpu_are_float32_whatever_else_the_machine_has(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert {p.dtype for p in load(tmp_path).model.parameters()} == {torch.float32}


def test_attention_is_the_one_asked_for(tiny_model: Path) -> None:
    eager = load(tiny_model, attention="eager").model
    assert eager.config._attn_implementation == "eager"
    torch.testing.assert_close(eager(IDS).logits, load(tiny_model).model(IDS).logits)


def test_tokenizer_without_padding_pads_with_its_end_token(copy: Path) -> None:
    config = json.loads((copy / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    assert AutoTokenizer.from_pretrained(copy).pad_token is None
    tokenizer = load_tokenizer(ModelConfig(name=str(copy)))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_text_is_read_as_it_stands_and_no_library_warns_of_it(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config["clean_up_tokenization_spaces"] = True
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(ModelConfig(name=str(copy)))
    assert tokenizer.decode(tokenizer("red , not blue .").input_ids) == "red , not blue ."
    assert not caplog.messages
    assert not tokenizer.clean_up_tokenization_spaces


def test_adapter_named_by_a_plan_is_merged_into_its_base(tiny_model: Path, adapter: Path) -> None:
    loaded = load(adapter)
    assert not isinstance(loaded.model, peft.PeftModel)
    plain = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert not torch.allclose(plain(IDS).logits, loaded.model(IDS).logits)
    with_adapter = peft.PeftModel.from_pretrained(plain, adapter)
    torch.testing.assert_close(loaded.model(IDS).logits, with_adapter(IDS).logits)
    assert loaded.tokenizer.chat_template == AutoTokenizer.from_pretrained(tiny_model).chat_template


def test_a_merged_adapter_can_be_trained_like_any_model(adapter: Path) -> None:
    model = load(adapter).model
    assert all(parameter.requires_grad for parameter in model.parameters())
    model(IDS).logits.sum().backward()


def test_tokenizer_of_an_adapter_comes_before_that_of_its_base(
    tiny_model: Path, adapter: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    tokenizer.save_pretrained(adapter)
    assert load(adapter).tokenizer.chat_template == "{{ messages[0]['content'] }}"


def test_adapter_on_a_merged_adapter_does_not_name_the_bare_base(
    adapter: Path, tmp_path: Path
) -> None:
    """Plain peft would put it on a model that it was not trained on, and say nothing."""
    model = peft.get_peft_model(load(adapter).model, peft.LoraConfig(target_modules="all-linear"))
    model.save_pretrained(str(tmp_path / "second"))
    with pytest.raises(ModelError, match="does not say what its base model is"):
        load(tmp_path / "second")


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_saved_stage_loads_in_plain_transformers_and_peft_and_in_ours(
    kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    loaded = load(tiny_model)
    if kind == "adapter":
        loaded.model = adapted(tiny_model)
    else:
        with torch.no_grad():
            for parameter in loaded.model.parameters():
                parameter.mul_(1.1)
    logits = loaded.model(IDS).logits
    folder = save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    assert folder == tmp_path / kind
    assert sorted(path.name for path in tmp_path.iterdir()) == [kind]
    library = peft.AutoPeftModelForCausalLM if kind == "adapter" else AutoModelForCausalLM
    assert library.from_pretrained(folder)(IDS).logits.equal(logits)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == loaded.tokenizer.chat_template
    ours = load_model(ModelConfig(name=str(tiny_model)), stage=tmp_path)
    assert differing(weights(ours.model), weights(loaded.model)) == []
    assert isinstance(ours.model, peft.PeftModel) == (kind == "adapter")
    torch.testing.assert_close(load(folder).model(IDS).logits, logits, rtol=1e-4, atol=1e-5)


def test_saving_again_replaces_the_folder_whole(tiny_model: Path, tmp_path: Path) -> None:
    loaded = load(tiny_model)
    folder = save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    (folder / "stray.txt").write_text("left over")
    before = (folder / "model.safetensors").read_bytes()
    save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    assert not (folder / "stray.txt").exists()
    assert (folder / "model.safetensors").read_bytes() == before


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def lose_a_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def change_a_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.ones(63)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def unknown_architecture(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "no-such-model"}')


def lose_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def garble_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_weights, "the model cannot be read: Error while deserializing header"),
        (lose_a_weight, "the model cannot be read: 1 weights are not there, such as "
                        "model.layers.1.mlp.up_proj.weight"),
        (change_a_shape, "the model cannot be read: "),
        (unknown_architecture, "the installed transformers does not know this type of model"),
        (lose_tokenizer, "the tokenizer cannot be read: "),
        (garble_tokenizer, "the tokenizer cannot be read: "),
    ],
)  # fmt: skip
def test_spoiled_folder_is_refused_with_what_is_wrong(
    spoil: Callable[[Path], None], message: str, copy: Path
) -> None:
    spoil(copy)
    with pytest.raises(ModelError, match=message) as caught:
        load(copy)
    assert caught.value.message.startswith(f"{copy}: ")


def test_spoiled_adapter_is_refused_with_what_is_wrong(adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    del tensors[next(iter(sorted(tensors)))]
    save_file(tensors, file)
    with pytest.raises(ModelError, match="the adapter cannot be read: Found missing adapter keys"):
        load(adapter)
    file.write_bytes(b"\x00" * 100)
    with pytest.raises(ModelError, match="the adapter cannot be read: "):
        load(adapter)


def test_adapter_of_another_base_is_refused(adapter: Path, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    other = build_model(tmp_path / "other")
    small = LlamaConfig(
        vocab_size=261, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(small).save_pretrained(other)
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(other)
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"does not fit the model .* names, {other}: ") as caught:
        load(adapter)
    assert caught.value.fix is not None
    assert "base_model_name_or_path" in caught.value.fix


def test_a_model_folder_of_nearly_that_name_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    for typed in ("tinny", "./tinny"):
        with pytest.raises(ModelError, match="no such") as caught:
            load_model(ModelConfig(name=typed))
        assert caught.value.fix == "did you mean ./tiny?"


def test_where_the_hub_does_not_answer_it_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    asked: list[str] = []

    class Session:
        def head(self, address: str, timeout: float) -> None:
            asked.append(address)
            raise ConnectionError

    def from_pretrained(name: str, *, local_files_only: bool, **_: object) -> None:
        assert local_files_only
        raise OSError(f"{name} is not in the cache")

    monkeypatch.setattr("huggingface_hub.get_session", Session)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", from_pretrained)
    with pytest.raises(ModelError, match="is not in the cache"):
        load_model(ModelConfig(name="no/such-model"))
    assert len(asked) == 1


def test_the_hub_is_asked_once_for_tokenizer_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    asked: list[str] = []
    kept: list[bool] = []

    class Session:
        def head(self, address: str, timeout: float) -> None:
            asked.append(address)

    def tokenizer(*_: object, local_files_only: bool, **__: object) -> object:
        kept.append(local_files_only)
        return build_tokenizer()

    def weights(*_: object, local_files_only: bool, **__: object) -> None:
        kept.append(local_files_only)
        raise OSError("no weights")

    monkeypatch.setattr("huggingface_hub.get_session", Session)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", tokenizer)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", weights)
    with pytest.raises(ModelError, match="no weights"):
        load_model(ModelConfig(name="no/such-model"))
    assert kept == [False, False]
    assert len(asked) == 1


def test_model_that_is_not_on_the_hub_is_refused_with_what_to_check() -> None:
    with pytest.raises(ModelError, match="no/such-model: no such folder") as caught:
        load_model(ModelConfig(name="no/such-model"))
    assert "the tokenizer cannot be had from the hub: " in caught.value.message
    assert caught.value.fix == "check the path, or the name and the network"


def test_skeleton_has_the_shapes_and_no_weights(tiny_model: Path, adapter: Path) -> None:
    real = load(tiny_model).model
    for name in (tiny_model, adapter):
        skeleton = model_skeleton(ModelConfig(name=str(name)))
        shapes = {name: p.shape for name, p in skeleton.named_parameters()}
        assert shapes == {name: p.shape for name, p in real.named_parameters()}
        assert {p.device.type for p in skeleton.parameters()} == {"meta"}


def test_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == "cpu"
    with pytest.raises(ModelError, match="device 'cuda': torch finds none"):
        pick_device("cuda")
    with pytest.raises(ModelError, match="device 'tpu': there is none") as caught:
        pick_device("tpu")
    assert caught.value.fix == "auto, cpu, cuda, mps"
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert pick_device("auto") == "mps"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert pick_device("auto") == "cuda"


def test_loading_and_saving_say_nothing_on_the_terminal(
    tiny_model: Path, adapter: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    loaded = load(tiny_model)
    load(adapter)
    save_stage_model(loaded.model, loaded.tokenizer, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_names_of_adapted_modules_are_written_in_order(tiny_model: Path, tmp_path: Path) -> None:
    """They are a set, whose order a run that goes on in another process need not meet again."""
    model = adapted(tiny_model)
    folder = save_stage_model(model, AutoTokenizer.from_pretrained(tiny_model), tmp_path)
    names = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert names == sorted(model.peft_config["default"].target_modules)
    assert len(names) == 14  # seven in each of two layers
