"""From names to models that can be asked."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from forgetless.auditing.config import AuditConfig
from forgetless.auditing.subjects import describe, find_subjects
from forgetless.errors import ModelError, UsageError
from forgetless.evaluation.local import LocalSubject
from forgetless.evaluation.subject import Subject
from tests.endpoints.faults import serving
from tests.endpoints.scripted import Scripted
from tests.models.test_opening import adapters  # noqa: F401 - a fixture
from tests.training.build import fresh

CPU = AuditConfig(device="cpu")


def find(*models: object, config: AuditConfig = CPU) -> list[LocalSubject]:
    subjects: list[LocalSubject] = []
    for subject in find_subjects(models, config):
        assert isinstance(subject, Subject)
        assert isinstance(subject, LocalSubject)
        subjects.append(subject)
    return subjects


def test_a_base_and_its_adapters_are_one_model_in_memory(
    tiny_model: Path,
    adapters: list[Path],  # noqa: F811
) -> None:
    before, first, second = find(tiny_model, *adapters)
    assert [subject.kind for subject in (before, first, second)] == ["folder", "adapter", "adapter"]
    with before.model() as bare:
        base = bare.model
    for subject in (first, second):
        with subject.model() as worn:
            assert worn.model.get_base_model() is base
    assert len({subject.identity() for subject in (before, first, second)}) == 3


def test_a_model_in_memory_is_asked_as_it_is(tiny_model: Path) -> None:
    held = fresh(tiny_model)
    pair, loaded = find((held.model, held.tokenizer), held)
    assert pair.kind == loaded.kind == "object"
    assert pair.identity() == loaded.identity()
    with pair.model() as asked:
        assert asked.model is held.model


def test_one_model_lends_its_tokenizer_to_all(tiny_model: Path, tmp_path: Path) -> None:
    held = fresh(tiny_model)
    tuned = tmp_path / "tuned"
    shutil.copytree(tiny_model, tuned)
    (tuned / "chat_template.jinja").write_text(held.tokenizer.chat_template + "!")
    for whose, ending in (("own", ["\n", "!"]), ("before", ["\n"] * 2), ("after", ["!"] * 2)):
        settings = AuditConfig.model_validate({"device": "cpu", "render_with": whose})
        said = []
        for subject in find(tiny_model, tuned, config=settings):
            with subject.model() as asked:
                turns = [{"role": "user", "content": "x"}]
                said.append(asked.tokenizer.apply_chat_template(turns, tokenize=False)[-1])
        assert said == ending


def test_labels_tell_models_apart(tiny_model: Path) -> None:
    assert [info.label for info in describe(find(tiny_model, tiny_model))] == ["before", "after"]
    labels = [info.label for info in describe(find(tiny_model, tiny_model, tiny_model))]
    assert labels == ["before", "model-1", "model-2"]


def test_a_label_that_was_numbered_is_none_of_the_others(tiny_model: Path, tmp_path: Path) -> None:
    afters = [tmp_path / name for name in ("a/x", "b/x", "x-1")]
    for place in afters:
        shutil.copytree(tiny_model, place)
    labels = [info.label for info in describe(find(tiny_model, *afters))]
    assert labels == ["before", "x-1-1", "x-2", "x-1-3"]


@pytest.mark.parametrize("whose", ["before", "after"])
def test_what_has_no_tokenizer_here_cannot_lend_it(tiny_model: Path, whose: str) -> None:
    (subject,) = find(tiny_model)  # asked as it is, like an endpoint
    models = (subject, tiny_model) if whose == "before" else (tiny_model, subject)
    settings = AuditConfig.model_validate({"device": "cpu", "render_with": whose})
    with pytest.raises(UsageError, match=f"--render-with {whose}: that model has no tokenizer"):
        find_subjects(models, settings)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="found int where a model was needed"):
        find_subjects([3, 4], CPU)
    with pytest.raises(ModelError, match="no such model folder"):
        find_subjects(["./nowhere", "./nowhere"], CPU)


@pytest.mark.parametrize("other", ["openai:nobody", "./nowhere"])
def test_an_endpoint_is_closed_again_if_another_model_is_not_found(
    monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(Scripted()) as server:
        config = AuditConfig(device="cpu", base_url=server.url)
        with pytest.raises(ModelError):
            find_subjects(["openai:toy", other], config)
    assert "forgetless-endpoint" not in {thread.name for thread in threading.enumerate()}


def test_that_code_of_a_model_is_trusted_is_told_of_it(tiny_model: Path) -> None:
    trusting = CPU.model_copy(update={"trust_remote_code": True})
    for config, told in ((CPU, None), (trusting, "trusted")):
        (info,) = describe(find(tiny_model, config=config))
        assert info.details.get("remote code") == told
