from __future__ import annotations

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch

from forgetless.evaluation.generation import generate
from forgetless.evaluation.scorer import ask
from forgetless.models.load import LoadedModel
from tests.evaluation.build import COLOURS
from tests.training.build import forward_passes, load


def chat(question: str) -> str:
    return f"<|user|>{question}<|end|>\n<|assistant|>"


TEXTS = [
    *(chat(row.prompt[0].content) for row in (*COLOURS.train, *COLOURS.test)),
    chat("What?"),
    "colour",
]


def prompts(loaded: LoadedModel) -> list[list[int]]:
    return [loaded.tokenizer(text)["input_ids"] for text in TEXTS]


def by_hand(loaded: LoadedModel, prompt: list[int], longest: int, stops: set[int]) -> list[int]:
    """The likeliest token, again and again; the whole sequence through the model each time."""
    answer: list[int] = []
    with torch.no_grad():
        while len(answer) < longest:
            token = int(loaded.model(torch.tensor([prompt + answer])).logits[0, -1].argmax())
            if token in stops:
                break
            answer.append(token)
    return answer


def text_of(loaded: LoadedModel, ids: list[int]) -> str:
    return str(loaded.tokenizer.decode(ids, skip_special_tokens=True)).strip()


def test_batched_answers_are_those_of_the_likeliest_token_one_by_one(taught: LoadedModel) -> None:
    asked = prompts(taught)
    expected = [text_of(taught, by_hand(taught, prompt, 12, {256})) for prompt in asked]
    assert len(set(expected)) > 3
    assert any(len(answer) < 10 for answer in expected)
    assert generate(taught, asked, 12, [256]) == expected
    assert [generate(taught, [prompt], 12, [256])[0] for prompt in asked] == expected


def test_batched_answers_are_those_of_transformers_one_by_one(taught: LoadedModel) -> None:
    asked = prompts(taught)
    for prompt, answer in zip(asked, generate(taught, asked, 12, [256]), strict=True):
        tokens = taught.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            do_sample=False,
            max_new_tokens=12,
        )
        assert answer == text_of(taught, tokens[0, len(prompt) :].tolist())


def test_any_stop_token_ends_an_answer_and_is_not_part_of_it(taught: LoadedModel) -> None:
    prompt = prompts(taught)[0]
    free = by_hand(taught, prompt, 10, set())
    for place in range(1, 5):
        stop = free[place]
        kept = free[: free.index(stop)]
        assert generate(taught, [prompt], 10, [256, stop]) == [text_of(taught, kept)]


def test_model_is_not_asked_further_once_all_answers_have_stopped(taught: LoadedModel) -> None:
    prompt = prompts(taught)[0]
    stop = by_hand(taught, prompt, 2, set())[1]
    passes: list[int] = []
    hook = taught.model.lm_head.register_forward_hook(lambda *_: passes.append(1))
    generate(taught, [prompt, prompt], 50, [stop])
    generate(taught, [prompt], 50, [256, stop])
    hook.remove()
    assert len(passes) <= 2 + 2


def test_as_many_more_are_continued_at_a_time_as_they_are_shorter_than_512_tokens(
    taught: LoadedModel,
) -> None:
    """Six prompts of 3 tokens: two at a time with 254 more (2 x 512 // 257 = 3), one with 1,100."""
    prompts = [[65, 66, 67 + number] for number in range(6)]
    for longest, size, expected in ((254, 2, 3), (125, 2, 6), (1100, 1, 1)):
        with forward_passes(taught.model) as passed:
            generate(taught, prompts, longest, [*range(261)], size)  # whatever it says ends it
        assert passed == [1] * (6 // expected)


def test_answer_is_no_longer_than_asked(taught: LoadedModel) -> None:
    prompt = prompts(taught)[0]
    free = by_hand(taught, prompt, 9, set())
    for longest in (1, 4, 9):
        assert generate(taught, [prompt], longest, []) == [text_of(taught, free[:longest])]


def test_generation_settings_of_the_model_folder_are_set_aside(
    taught: LoadedModel, taught_folder: Path, tmp_path: Path
) -> None:
    """A repetition penalty or a sampling temperature would make answers of models incomparable."""
    folder = tmp_path / "model"
    shutil.copytree(taught_folder, folder)
    file = folder / "generation_config.json"
    own = json.loads(file.read_text())
    own |= {"do_sample": True, "temperature": 5.0, "repetition_penalty": 3.0, "max_length": 3}
    own |= {"suppress_tokens": list(range(60, 100)), "no_repeat_ngram_size": 1}
    file.write_text(json.dumps(own))
    spoiled = load(folder)
    asked = prompts(taught)
    assert generate(spoiled, asked, 12, [256]) == generate(taught, asked, 12, [256])
    assert spoiled.model.generation_config.repetition_penalty == 3.0  # the model keeps them
    adapted = LoadedModel(
        peft.get_peft_model(
            load(folder).model, peft.LoraConfig(target_modules="all-linear")
        ).eval(),
        taught.tokenizer,
    )
    assert generate(adapted, asked, 12, [256]) == generate(taught, asked, 12, [256])
    assert adapted.model.get_base_model().generation_config.repetition_penalty == 3.0


def test_open_questions_are_asked_in_chat_form(taught: LoadedModel) -> None:
    questions = ["colour 0-3?", "What?"]
    expected = [
        text_of(taught, by_hand(taught, taught.tokenizer(chat(q))["input_ids"], 64, {256}))
        for q in questions
    ]
    assert ask(taught, questions) == expected
    assert ask(taught, []) == []


def test_open_questions_are_asked_as_text_of_a_model_without_a_template(
    taught: LoadedModel, taught_folder: Path
) -> None:
    plain = load(taught_folder)
    plain.tokenizer.chat_template = None
    prompt = plain.tokenizer("Question: What?\nAnswer:")["input_ids"]
    assert ask(plain, ["What?"]) == [text_of(plain, by_hand(plain, prompt, 64, {256}))]


@pytest.mark.parametrize("size", [1, 7])
def test_nothing_is_said_about_generation_on_the_terminal(
    size: int, taught: LoadedModel, capfd: pytest.CaptureFixture[str]
) -> None:
    generate(taught, prompts(taught)[:size], 2, [256])
    assert capfd.readouterr() == ("", "")
