"""Rows to tokens: training and testing see the same prompt, and only answers are learned."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetless.errors import DataError, ModelError
from forgetless.tasks.render import Encoded, Renderer
from forgetless.tasks.row import Row, Turn
from tests.tiny import CHAT_TEMPLATE, build_tokenizer

DEFAULT_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}<|system|>Be kind.<|end|>\n{% endif %}" + CHAT_TEMPLATE
)
# As R1-like models: earlier reasoning is dropped from the history, the prompt opens a new one.
FORGETS_REASONING = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if loop.last or message['role'] != 'assistant' %}{{ message['content'] }}"
    "{% else %}{{ message['content'].split('</think>')[-1] }}{% endif %}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# As Qwen3: the last answer comes after an empty reasoning block that the prompt does not open.
EMPTY_REASONING = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if loop.last and message['role'] == 'assistant' and '</think>' not in message['content'] %}"
    "<think></think>{% endif %}{{ message['content'] }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# As R1: the prompt opens a reasoning that the rendered history does not show.
OPENS_REASONING = CHAT_TEMPLATE.replace(
    "<|assistant|>{% endif %}", "<|assistant|><think>{% endif %}"
)
NO_SPECIAL = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
NO_END = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# As Llama-2 and Mistral: an answer has a space before it that the prompt does not end with.
SPACES = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] | trim + ' ' }}<|end|>"
    "{% else %}[{{ message['role'] }}] {{ message['content'] }} [/]{% endif %}{% endfor %}"
)
# As Vicuna: the name of who answers is the prompt's, the space behind it is not.
NAMES = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
# As Llama-3: white space around a message is taken off.
TRIMS = CHAT_TEMPLATE.replace("message['content']", "message['content'] | trim")
# No prompt to answer to: the template writes who answers only with the answer.
NO_ASKING = CHAT_TEMPLATE.partition("{% if add_generation_prompt %}")[0]
STRICT = "{{ raise_exception('roles must alternate') }}"
TEMPLATES = {
    "usual": CHAT_TEMPLATE,
    "default system": DEFAULT_SYSTEM,
    "forgets reasoning": FORGETS_REASONING,
    "empty reasoning": EMPTY_REASONING,
    "opens reasoning": OPENS_REASONING,
    "no special tokens": NO_SPECIAL,
    "no end of turn": NO_END,
    "spaces": SPACES,
    "names": NAMES,
    "trims": TRIMS,
    "no asking": NO_ASKING,
}


def tokenizer(
    template: str | None = CHAT_TEMPLATE, *, bos: bool = False, eos: bool = False, merges: Any = ()
) -> Any:
    """The tiny tokenizer with another template, special tokens around texts, or merges."""
    from tokenizers import processors

    made = build_tokenizer(chat=False)
    made.chat_template = template
    backend = made.backend_tokenizer
    if merges:
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {symbol: index for index, symbol in enumerate(letters)}
        for left, right in merges:
            vocabulary[left + right] = len(vocabulary)
        backend = Tokenizer(models.BPE(vocabulary, list(merges)))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.add_special_tokens(["<|end|>", "<|pad|>"])
        made = PreTrainedTokenizerFast(
            tokenizer_object=backend,
            eos_token="<|end|>",
            pad_token="<|pad|>",
        )
        made.chat_template = template
    if bos or eos:
        end = made.convert_tokens_to_ids("<|end|>")
        start = made.convert_tokens_to_ids("<|pad|>")
        backend.post_processor = processors.TemplateProcessing(
            single=("<|pad|> " if bos else "") + "$A" + (" <|end|>" if eos else ""),
            special_tokens=[("<|pad|>", start), ("<|end|>", end)],
        )
    return made


def conversation(*turns: str, system: str | None = None, answer: str = "") -> Row:
    """Turns alternate between user and assistant; the last answers, unless ``answer`` does."""
    said = [*turns, answer] if answer else list(turns)
    roles = [("user", "assistant")[n % 2] for n in range(len(said))]
    start = [Turn("system", system)] if system is not None else []
    prompt = [Turn(role, text) for role, text in zip(roles, said, strict=True)]  # type: ignore[arg-type]
    return Row("r", (*start, *prompt[:-1]), said[-1])


ONE = conversation("Sky?", "blue")
TWO = conversation("Sky?", "blue", "Grass?", "green")
TEXT = Row("t", (), "The sky is blue.")


def shown(made: Any, example: Encoded) -> str:
    """An example as text, what is learned in [brackets]."""
    parts: list[str] = []
    for token, learned in zip(example.ids, example.learned, strict=True):
        text = made.decode([token])
        if learned and parts and parts[-1].endswith("]"):
            parts[-1] = parts[-1][:-1] + text + "]"
        else:
            parts.append(f"[{text}]" if learned else text)
    return "".join(parts)


def rendered(renderer: Renderer, row: Row) -> list[str]:
    return [shown(renderer.tokenizer, example) for example in renderer.encode(row)]


def learned_ids(example: Encoded) -> list[int]:
    return [token for token, learned in zip(example.ids, example.learned, strict=True) if learned]


# Chat


def test_the_answer_and_the_token_that_ends_it_are_learned_and_nothing_else() -> None:
    assert rendered(Renderer(tokenizer(), "chat"), ONE) == [
        "<|user|>Sky?<|end|>\n<|assistant|>[blue<|end|>]\n"
    ]


def test_the_tokens_are_those_of_the_template_counted_by_hand() -> None:
    made = tokenizer()
    (example,) = Renderer(made, "chat").encode(conversation("a", "b"))
    letter = {text: made.convert_tokens_to_ids(text) for text in ("a", "b", "Ċ")}
    user, end, assistant = made.convert_tokens_to_ids(["<|user|>", "<|end|>", "<|assistant|>"])
    newline = letter["Ċ"]  # a line break, as byte-level tokenizers write it
    assert example.ids == [user, letter["a"], end, newline, assistant, letter["b"], end, newline]
    assert example.learned == [False] * 5 + [True, True, False]


def test_every_assistant_turn_of_a_conversation_is_learned() -> None:
    assert rendered(Renderer(tokenizer(), "chat"), TWO) == [
        "<|user|>Sky?<|end|>\n<|assistant|>[blue<|end|>]\n"
        "<|user|>Grass?<|end|>\n<|assistant|>[green<|end|>]\n"
    ]


def test_a_greeting_before_the_first_question_is_not_learned() -> None:
    row = Row("r", (Turn("assistant", "Hello"), Turn("user", "Sky?")), "blue")
    assert rendered(Renderer(tokenizer(), "chat"), row) == [
        "<|assistant|>Hello<|end|>\n<|user|>Sky?<|end|>\n<|assistant|>[blue<|end|>]\n"
    ]


def test_tool_results_are_given_and_not_learned() -> None:
    row = Row(
        "r", (Turn("user", "2+2?"), Turn("assistant", "calc"), Turn("tool", "4")), "four"
    )  # fmt: skip
    template = CHAT_TEMPLATE.replace("<|{{ message['role'] }}|>", "{{ message['role'] }}:")
    text = "user:2+2?<|end|>\nassistant:[calc<|end|>]\ntool:4<|end|>\nassistant:[four<|end|>]\n"
    made = tokenizer(template.replace("<|assistant|>", "assistant:"))
    assert rendered(Renderer(made, "chat"), row) == [text]


def test_a_system_turn_of_the_task_is_put_first() -> None:
    assert Renderer(tokenizer(), "chat", system="Be brief.").prompt(ONE) == (
        "<|system|>Be brief.<|end|>\n<|user|>Sky?<|end|>\n<|assistant|>"
    )


def test_a_conversation_with_a_system_turn_keeps_its_own() -> None:
    row = conversation("Sky?", "blue", system="Rhyme.")
    assert Renderer(tokenizer(), "chat", system="Be brief.").prompt(row) == (
        "<|system|>Rhyme.<|end|>\n<|user|>Sky?<|end|>\n<|assistant|>"
    )


def test_an_empty_system_turn_replaces_the_one_a_template_inserts() -> None:
    made = tokenizer(DEFAULT_SYSTEM)
    assert Renderer(made, "chat").prompt(ONE).startswith("<|system|>Be kind.<|end|>")
    assert Renderer(made, "chat", system="").prompt(ONE).startswith("<|system|><|end|>")


def test_a_template_that_drops_earlier_reasoning_gives_one_example_a_turn() -> None:
    row = conversation("Sky?", "<think>up</think>blue", "Grass?", "<think>down</think>green")
    assert rendered(Renderer(tokenizer(FORGETS_REASONING), "chat"), row) == [
        "<|user|>Sky?<|end|>\n<|assistant|>[<think>up</think>blue<|end|>]\n",
        "<|user|>Sky?<|end|>\n<|assistant|>blue<|end|>\n<|user|>Grass?<|end|>\n"
        "<|assistant|>[<think>down</think>green<|end|>]\n",
    ]


def test_such_a_template_gives_one_example_where_no_reasoning_is_dropped() -> None:
    assert len(Renderer(tokenizer(FORGETS_REASONING), "chat").encode(TWO)) == 1


def test_an_empty_reasoning_block_of_the_template_is_given_and_not_learned() -> None:
    renderer = Renderer(tokenizer(EMPTY_REASONING), "chat")
    assert rendered(renderer, ONE) == [
        "<|user|>Sky?<|end|>\n<|assistant|><think></think>[blue<|end|>]\n"
    ]
    assert renderer.prompt(ONE) == "<|user|>Sky?<|end|>\n<|assistant|><think></think>"


def test_an_answer_that_brings_its_own_reasoning_is_learned_with_it() -> None:
    renderer = Renderer(tokenizer(EMPTY_REASONING), "chat")
    row = conversation("Sky?", "<think>up</think>blue")
    assert rendered(renderer, row) == [
        "<|user|>Sky?<|end|>\n<|assistant|>[<think>up</think>blue<|end|>]\n"
    ]
    assert renderer.prompt(row) == "<|user|>Sky?<|end|>\n<|assistant|>"


def test_a_prompt_that_opens_a_reasoning_is_followed_by_answer_and_end_of_turn() -> None:
    assert rendered(Renderer(tokenizer(OPENS_REASONING), "chat"), ONE) == [
        "<|user|>Sky?<|end|>\n<|assistant|><think>[blue<|end|>]\n"
    ]


def test_where_the_template_ends_no_turn_the_end_of_text_is_learned() -> None:
    assert rendered(Renderer(tokenizer(NO_END), "chat"), ONE) == [
        "<|user|>Sky?<|assistant|>[blue<|end|>]"
    ]


def test_where_only_white_space_ends_a_turn_it_is_learned() -> None:
    assert rendered(Renderer(tokenizer(NO_SPECIAL), "chat"), ONE) == [
        "user: Sky?\nassistant: [blue\n]"
    ]


def test_a_template_that_refuses_a_conversation_is_quoted() -> None:
    renderer = Renderer(tokenizer(STRICT), "chat", system="Be brief.")
    with pytest.raises(DataError) as caught:
        renderer.prompt(ONE)
    assert caught.value.message == (
        "the model's chat template refuses a conversation of system, user: roles must alternate"
    )
    assert caught.value.fix == "set  render: plain  for the task, or rewrite the rows"
    with pytest.raises(DataError, match="of system, user: roles must alternate"):
        renderer.encode(ONE)


def test_chat_needs_a_template() -> None:
    with pytest.raises(ModelError) as caught:
        Renderer(tokenizer(None), "chat")
    assert caught.value.message == (
        "the tokenizer: has no chat template, but rows are to be rendered as chat"
    )


# Plain


def test_a_question_is_put_in_question_and_answer_form() -> None:
    assert rendered(Renderer(tokenizer(None), "plain"), ONE) == [
        "Question: Sky?\nAnswer:[ blue<|end|>]"
    ]


def test_a_sentence_to_complete_is_left_as_it_is() -> None:
    row = conversation("The sky is", "blue")
    assert rendered(Renderer(tokenizer(None), "plain"), row) == ["The sky is[ blue<|end|>]"]


@pytest.mark.parametrize(
    ("prompt", "answer", "text"),
    [
        ("sky: ", "blue", "sky: [blue<|end|>]"),
        ("sky:", "\nblue", "sky:[\nblue<|end|>]"),
        ("sky:\n", "blue", "sky:\n[blue<|end|>]"),
    ],
)
def test_no_space_is_put_where_there_is_white_space_already(
    prompt: str, answer: str, text: str
) -> None:
    assert rendered(Renderer(tokenizer(None), "plain"), conversation(prompt, answer)) == [text]


def test_plain_conversations_give_one_example_an_answer() -> None:
    assert rendered(Renderer(tokenizer(None), "plain"), TWO) == [
        "Question: Sky?\nAnswer:[ blue<|end|>]",
        "Question: Sky?\n\nblue\n\nGrass?\nAnswer:[ green<|end|>]",
    ]


def test_plain_text_is_learned_whole() -> None:
    for style in ("chat", "plain"):
        renderer = Renderer(tokenizer(), style)
        assert rendered(renderer, TEXT) == ["[The sky is blue.<|end|>]"]


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("eos", [False, True])
def test_a_plain_example_has_one_start_and_one_end_whatever_the_tokenizer_adds(
    bos: bool, eos: bool
) -> None:
    renderer = Renderer(tokenizer(None, bos=bos, eos=eos), "plain")
    start = "<|pad|>" if bos else ""
    assert rendered(renderer, ONE) == [f"{start}Question: Sky?\nAnswer:[ blue<|end|>]"]
    text = f"[{start}The sky is blue.<|end|>]"
    assert rendered(renderer, TEXT) == [text]


@pytest.mark.parametrize("bos", [False, True])
def test_an_answer_is_scored_in_the_tokens_that_it_has_behind_its_prompt(bos: bool) -> None:
    """As of tokenizers that put a space before every text; here it is a letter, to be seen."""
    from tokenizers import normalizers

    made = tokenizer(None, bos=bos)
    made.backend_tokenizer.normalizer = normalizers.Prepend("x")
    answer = Renderer(made, "plain").continuation_ids(ONE, "blue")
    assert made.decode(answer) == " blue"


def test_chat_takes_special_tokens_from_the_template_alone() -> None:
    usual, adding = (Renderer(tokenizer(bos=b, eos=b), "chat") for b in (False, True))
    assert adding.encode(TWO) == usual.encode(TWO)
    assert adding.prompt_ids(TWO) == usual.prompt_ids(TWO)


def test_without_an_end_of_text_token_only_the_answer_is_learned() -> None:
    made = tokenizer(None)
    made.eos_token = None
    assert rendered(Renderer(made, "plain"), ONE) == ["Question: Sky?\nAnswer:[ blue]"]


# Training and testing


def _answer_at(example: Encoded) -> int:
    """Where the last learned run of an example begins."""
    end = len(example.learned)
    while not example.learned[end - 1]:
        end -= 1
    while end and example.learned[end - 1]:
        end -= 1
    return end


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("system", [None, "", "Be brief."])
@pytest.mark.parametrize(
    "row",
    [
        ONE,
        TWO,
        conversation("Sky?", "blue", system="Rhyme."),
        conversation("Sky?", "<think>up</think>blue", "Grass?", "<think>a</think>green"),
        conversation("a", "b. ", "c", " d\n", "e", "f."),
    ],
    ids=["one", "two", "own system", "reasoning", "three"],
)
def test_a_test_item_is_asked_in_the_very_tokens_in_which_it_is_taught(
    template: str, system: str | None, row: Row
) -> None:
    renderer = Renderer(tokenizer(TEMPLATES[template]), "chat", system)
    last = renderer.encode(row)[-1]
    assert last.ids[: _answer_at(last)] == renderer.prompt_ids(row)


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("row", [ONE, TWO, conversation("The sky is", "blue")])
def test_a_plain_item_is_asked_in_the_very_tokens_in_which_it_is_taught(
    bos: bool, eos: bool, row: Row
) -> None:
    renderer = Renderer(tokenizer(None, bos=bos, eos=eos), "plain")
    last = renderer.encode(row)[-1]
    assert last.ids[: _answer_at(last)] == renderer.prompt_ids(row)


MERGES = [("b", "l"), ("bl", "u"), ("e", "Ċ"), (".", "Ċ"), (":", "Ġ"), ("Ġ", "g"), ("Ċ", "u")]


@pytest.mark.parametrize("answer", ["blue", "green.", "b"])
@pytest.mark.parametrize("style", ["chat", "plain"])
def test_tokens_that_would_merge_across_turns_are_the_same_in_both(answer: str, style: str) -> None:
    made = tokenizer(NO_SPECIAL, merges=MERGES)
    renderer = Renderer(made, style)  # type: ignore[arg-type]
    row = conversation("Sky?", answer, "Grass is", answer)
    last = renderer.encode(row)[-1]
    assert last.ids[: _answer_at(last)] == renderer.prompt_ids(row)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(
        st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=1, max_size=2
    ),
    answer=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip),
    style=st.sampled_from(["chat", "plain"]),
)
def test_any_prompt_is_asked_as_it_is_taught_and_its_answer_learned_whole(
    texts: list[str], answer: str, style: str
) -> None:
    made = build_tokenizer()
    renderer = Renderer(made, style)  # type: ignore[arg-type]
    row = conversation(*[part for text in texts for part in (text, answer)])
    last = renderer.encode(row)[-1]
    prompt = renderer.prompt_ids(row)
    assert last.ids[: len(prompt)] == prompt
    assert not any(last.learned[: len(prompt)][-1:])
    learned = made.decode(last.ids[len(prompt) :], clean_up_tokenization_spaces=False)
    assert learned.strip() == (answer + "<|end|>").strip()


@pytest.mark.parametrize("style", ["chat", "plain"])
@pytest.mark.parametrize("answer", ["blue", "a longer answer, with more.", "ä 😀"])
def test_the_answer_is_scored_in_the_tokens_in_which_it_is_learned(style: str, answer: str) -> None:
    renderer = Renderer(tokenizer(), style)  # type: ignore[arg-type]
    row = conversation("Sky?", answer)
    (example,) = renderer.encode(row)
    end = renderer.tokenizer.eos_token_id
    assert learned_ids(example) == [*renderer.continuation_ids(row, answer), end]


@pytest.mark.parametrize("style", ["chat", "plain"])
@pytest.mark.parametrize("bos", [False, True])
def test_a_text_without_prompt_is_scored_in_the_tokens_in_which_it_is_learned(
    style: str, bos: bool
) -> None:
    renderer = Renderer(tokenizer(bos=bos), style)  # type: ignore[arg-type]
    row = Row("text", (), "grey sky")
    (example,) = renderer.encode(row)
    asked = renderer.continuation_ids(row, "grey sky")
    assert len(asked) == len("grey sky") + bos
    assert asked == example.ids[: len(asked)]


def test_another_answer_is_scored_after_the_same_prompt() -> None:
    made = tokenizer(None)
    renderer = Renderer(made, "plain")
    assert made.decode(renderer.continuation_ids(ONE, "grey")) == " grey"
    assert made.decode(renderer.continuation_ids(ONE, "\ngrey")) == "\ngrey"


def test_an_answer_whose_first_letter_would_merge_with_the_prompt_is_tokenised_alone() -> None:
    made = tokenizer(None, merges=[(":", "Ġ")])
    renderer = Renderer(made, "plain")
    row = conversation("sky:", "blue")
    assert made.convert_ids_to_tokens(renderer.prompt_ids(row)) == list("sky:")
    assert made.convert_ids_to_tokens(renderer.continuation_ids(row, "blue")) == list("Ġblue")


@pytest.mark.parametrize("template", ["usual", "spaces", "names", "trims", "no asking"])
@pytest.mark.parametrize("prepends", [False, True])
@pytest.mark.parametrize("answer", ["green", " blue "])
def test_an_item_is_asked_and_taught_in_the_tokens_of_its_template(
    template: str, prepends: bool, answer: str
) -> None:
    made = tokenizer(TEMPLATES[template], merges=[("Ġ", "g"), ("Ġg", "r"), ("Ġ", "b")])
    if prepends:  # as SentencePiece puts a space before every text; here a letter, to be seen
        from tokenizers import normalizers

        made.backend_tokenizer.normalizer = normalizers.Prepend("x")
    messages = [{"role": "user", "content": "Sky?"}, {"role": "assistant", "content": answer}]
    own = made.apply_chat_template(messages, tokenize=True, return_dict=False)
    renderer, row = Renderer(made, "chat"), conversation("Sky?", answer)
    asked = renderer.prompt_ids(row) + renderer.continuation_ids(row, answer)
    assert asked == own[: len(asked)]
    assert asked == renderer.encode(row)[0].ids[: len(asked)]
    assert 0 < len(own) - len(asked) <= 3  # what is left only ends the turn


def test_a_space_before_an_answer_is_one_token_with_its_first_letters() -> None:
    made = tokenizer(SPACES, merges=[("Ġ", "b")])
    renderer = Renderer(made, "chat")
    assert renderer.prompt(ONE) == "[user] Sky? [/]"
    answer = made.convert_ids_to_tokens(renderer.continuation_ids(ONE, "blue"))
    assert answer == ["Ġb", "l", "u", "e"]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("answer", ["blue", " blue", "b. "])
def test_an_answer_is_scored_as_it_is_taught_whatever_the_template_does_to_it(
    template: str, answer: str
) -> None:
    renderer = Renderer(tokenizer(TEMPLATES[template]), "chat")
    row = conversation("Sky?", "blue", "Sea?", answer)
    taught = renderer.encode(row)[-1].ids
    asked = renderer.prompt_ids(row) + renderer.continuation_ids(row, answer)
    assert taught[: len(asked)] == asked


# Worked examples


def test_worked_examples_come_before_a_chat_item_as_earlier_exchanges() -> None:
    renderer = Renderer(tokenizer(), "chat", shots=(conversation("Sea?", "green"),))
    assert renderer.prompt(ONE) == (
        "<|user|>Sea?<|end|>\n<|assistant|>green<|end|>\n<|user|>Sky?<|end|>\n<|assistant|>"
    )


def test_worked_examples_come_before_a_plain_item_as_paragraphs() -> None:
    shots = (conversation("Sea?", "green"), conversation("Sun is", "gold"))
    assert Renderer(tokenizer(None), "plain", shots=shots).prompt(ONE) == (
        "Question: Sea?\nAnswer: green\n\nSun is gold\n\nQuestion: Sky?\nAnswer:"
    )


@pytest.mark.parametrize("style", ["chat", "plain"])
def test_worked_examples_are_never_trained_on(style: str) -> None:
    plain = Renderer(tokenizer(), style)  # type: ignore[arg-type]
    shown = Renderer(tokenizer(), style, shots=(conversation("Sea?", "green"),))  # type: ignore[arg-type]
    assert shown.encode(ONE) == plain.encode(ONE)
    assert shown.prompt_ids(ONE) != plain.prompt_ids(ONE)
    assert shown.prompt_ids(ONE)[-3:] == plain.prompt_ids(ONE)[-3:]


# Where an answer ends


@pytest.mark.parametrize(
    ("template", "style", "stops"),
    [
        (CHAT_TEMPLATE, "chat", ["<|end|>"]),
        (CHAT_TEMPLATE.replace("<|end|>", "<|pad|>"), "chat", ["<|end|>", "<|pad|>"]),
        (OPENS_REASONING, "chat", ["<|end|>"]),
        (EMPTY_REASONING, "chat", ["<|end|>"]),
        (NO_SPECIAL, "chat", ["Ċ", "<|end|>"]),
        (NO_END, "chat", ["<|end|>"]),
        (SPACES, "chat", ["<|end|>"]),
        (CHAT_TEMPLATE.replace("<|end|>", "<|pad|>"), "plain", ["<|end|>"]),
    ],
)
def test_an_answer_ends_with_the_turn_of_the_template_or_the_text(
    template: str, style: str, stops: list[str]
) -> None:
    made = tokenizer(template)
    renderer = Renderer(made, style)  # type: ignore[arg-type]
    assert renderer.stop_ids() == sorted(made.convert_tokens_to_ids(stops))


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_token_that_ends_an_answer_is_learned(template: str) -> None:
    renderer = Renderer(tokenizer(TEMPLATES[template]), "chat")
    for example in renderer.encode(TWO):
        assert learned_ids(example)[-1] in renderer.stop_ids()


def test_examples_have_the_length_of_their_tokens() -> None:
    (example,) = Renderer(tokenizer(), "chat").encode(ONE)
    assert len(example) == len(example.ids) == len(example.learned)
    assert re.search(r"\[blue<\|end\|>\]", shown(tokenizer(), example))
