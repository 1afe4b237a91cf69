"""One record at a time: which shapes are rows, and what a malformed one is told."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from forgetless.tasks.formats import Format, MalformedRow, detect_format, read_row
from forgetless.tasks.parsing import Number
from forgetless.tasks.row import Row, Turn

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Sky?"},
    {"role": "assistant", "content": "blue"},
    {"role": "user", "content": "Grass?"},
    {"role": "assistant", "content": "green"},
]


def row(record: dict[str, Any]) -> Row:
    shape = detect_format(set(record))
    assert shape is not None
    return read_row(record, shape, 7)


def fault(record: dict[str, Any], shape: Format | None = None) -> str:
    shape = shape or detect_format(set(record))
    assert shape is not None
    with pytest.raises(MalformedRow) as caught:
        read_row(record, shape, 7)
    return str(caught.value)


def user(text: str) -> tuple[Turn, ...]:
    return (Turn("user", text),)


# Shapes


@pytest.mark.parametrize(
    ("columns", "shape"),
    [
        ({"messages", "text"}, "messages"),
        ({"conversations", "system", "tools"}, "conversations"),
        ({"instruction", "input", "output", "text"}, "instruction"),
        ({"instruction", "input"}, None),
        ({"question", "choices", "answer"}, "multiple_choice"),
        ({"prompt", "completion", "text"}, "prompt_completion"),
        ({"question", "answer", "source"}, "question_answer"),
        ({"text", "title"}, "text"),
        ({"prompt", "answer"}, None),
        ({"choices", "answer"}, None),
        (set(), None),
    ],
)
def test_the_shape_of_a_source_follows_from_its_columns(
    columns: set[str], shape: Format | None
) -> None:
    assert detect_format(columns) == shape


def test_prompt_and_completion_make_one_exchange() -> None:
    assert row({"prompt": "Sky?", "completion": "blue"}) == Row("7", user("Sky?"), "blue")


def test_question_and_answer_make_one_exchange() -> None:
    assert row({"question": "Sky?", "answer": "blue"}) == Row("7", user("Sky?"), "blue")


def test_a_chat_is_split_before_its_last_turn() -> None:
    expected = (
        Turn("system", "Be brief."),
        Turn("user", "Sky?"),
        Turn("assistant", "blue"),
        Turn("user", "Grass?"),
    )
    assert row({"messages": CHAT}) == Row("7", expected, "green")


def test_prompt_and_completion_may_be_lists_of_messages() -> None:
    assert row({"prompt": CHAT[:4], "completion": CHAT[4:]}) == row({"messages": CHAT})


# Shapes of other tools, as their documentation shows them


def test_a_sharegpt_conversation_is_the_chat_that_its_messages_spell() -> None:
    """LLaMA-Factory's and Axolotl's: ``from`` and ``value``."""
    speakers = {"system": "system", "user": "human", "assistant": "gpt"}
    spelt = [{"from": speakers[turn["role"]], "value": turn["content"]} for turn in CHAT]
    assert row({"conversations": spelt}) == row({"messages": CHAT})
    assert row({"messages": spelt}) == row({"messages": CHAT})  # TRL converts these, too
    assert row({"conversations": CHAT}) == row({"messages": CHAT})


def test_tool_calls_of_llama_factory_are_turns_of_assistant_and_tool() -> None:
    made = row(
        {
            "conversations": [
                {"from": "human", "value": "Weather?"},
                {"from": "function_call", "value": '{"name": "weather"}'},
                {"from": "observation", "value": "rain"},
                {"from": "gpt", "value": "It rains."},
            ],
            "system": "Be brief.",
            "tools": "[]",
        }
    )
    assert [turn.role for turn in made.prompt] == ["system", "user", "assistant", "tool"]
    assert made.answer == "It rains."


def test_a_system_turn_among_the_messages_comes_before_a_system_field() -> None:
    made = row({"messages": CHAT, "system": "Ignored."})
    assert made == row({"messages": CHAT})
    assert row({"messages": CHAT[1:], "system": "Be brief."}) == made


def test_an_alpaca_row_asks_its_instruction_and_its_input_on_the_next_line() -> None:
    about = {"instruction": "Translate.", "input": "Himmel", "output": "sky"}
    assert row(about) == Row("7", user("Translate.\nHimmel"), "sky")
    for empty in ("", None):
        assert row(about | {"input": empty}) == Row("7", user("Translate."), "sky")


def test_system_and_history_of_llama_factory_come_before_the_instruction() -> None:
    made = row(
        {
            "instruction": "Grass?",
            "input": "",
            "output": "green",
            "system": "Be brief.",
            "history": [["Sky?", "blue"]],
        }
    )
    assert made == row({"messages": CHAT})
    assert row({"instruction": "q", "output": "a", "system": "", "history": []}).prompt == user("q")


def test_a_content_of_text_parts_is_their_text() -> None:
    parts = [{"type": "text", "text": "Sk"}, {"type": "text", "text": "y?"}]
    asked = {"role": "user", "content": parts}
    assert row({"messages": [asked, CHAT[2]]}) == Row("7", user("Sky?"), "blue")


def test_a_system_field_comes_before_the_prompt() -> None:
    made = row({"system": "Be brief.", "prompt": "Sky?", "completion": "blue"})
    assert made.prompt == (Turn("system", "Be brief."), Turn("user", "Sky?"))


def test_plain_text_asks_nothing() -> None:
    assert row({"text": "The sky is blue."}) == Row("7", (), "The sky is blue.")


def test_an_id_of_its_own_replaces_the_position() -> None:
    assert row({"id": 12, "text": "x"}).id == "12"


def test_white_space_of_texts_is_kept() -> None:
    assert row({"prompt": " a\n", "completion": "\tb "}) == Row("7", user(" a\n"), "\tb ")


@pytest.mark.parametrize(
    "aliases", [["azure", "sky blue"], '["azure", "sky blue"]', "azure|sky blue"]
)
def test_aliases_are_a_list_or_a_csv_cell_that_holds_one(aliases: Any) -> None:
    made = row({"prompt": "Sky?", "completion": "blue", "aliases": aliases})
    assert made.aliases == ("azure", "sky blue")


@pytest.mark.parametrize("aliases", [None, [], ""])
def test_a_row_may_have_no_aliases(aliases: Any) -> None:
    assert row({"prompt": "Sky?", "completion": "blue", "aliases": aliases}).aliases == ()


# Multiple choice


@pytest.mark.parametrize("answer", ["green", " green ", "B", "b", 1, "1", 1.0, "1.0"])
def test_the_right_choice_is_named_by_text_letter_or_index(answer: Any) -> None:
    made = row({"question": "Grass?", "choices": ["blue", "green", "red"], "answer": answer})
    assert (made.answer, made.gold) == ("green", 1)
    assert made.choices == ("blue", "green", "red")


def test_choices_may_stand_in_one_cell() -> None:
    record = {"question": "Grass?", "answer": "B"}
    assert row(record | {"choices": "blue|green"}).choices == ("blue", "green")
    assert row(record | {"choices": '["a|b", "c"]'}).choices == ("a|b", "c")


def test_a_number_is_an_index_among_choices_that_are_text() -> None:
    made = row({"question": "1 + 1?", "choices": ["1", "2", "3"], "answer": 1})
    assert made.answer == "2"


def test_a_number_is_itself_among_choices_that_are_numbers() -> None:
    assert row({"question": "1 + 1?", "choices": [1, 2, 3], "answer": 2}).answer == "2"
    assert row({"question": "1 + 1?", "choices": [1, 2, 3], "answer": "2.0"}).answer == "2"
    assert row({"question": "1 + 1?", "choices": [1, 2, 3], "answer": "B"}).answer == "2"


def test_a_number_written_in_two_ways_is_the_same_choice() -> None:
    assert fault({"question": "q", "choices": [1, 1.0, 2], "answer": 1}) == (
        "'choices' has the same entry twice"
    )


@pytest.mark.parametrize(("choices", "answer"), [([1, 2, 3, 4], 0), ([10, 20], 1), ([1, 2], "nan")])
def test_among_choices_that_are_numbers_no_number_is_an_index(
    choices: list[int], answer: object
) -> None:
    assert fault({"question": "q", "choices": choices, "answer": answer}) == (
        f"'answer' {str(answer)!r} is none of the {len(choices)} choices, nor the letter of one; "
        "choices that are numbers have no index"
    )


def test_a_digit_written_as_text_is_a_choice_before_it_is_an_index() -> None:
    assert row({"question": "1 + 1?", "choices": ["1", "2", "3"], "answer": "2"}).answer == "2"


def test_a_letter_that_is_a_choice_is_that_choice() -> None:
    assert row({"question": "Grade?", "choices": ["B", "A"], "answer": "A"}).gold == 1


@pytest.mark.parametrize("answer", ["D", 3, -1, "3", "yellow", 1.5, True, "AA", "²"])
def test_an_answer_outside_the_choices_is_refused(answer: Any) -> None:
    found = fault({"question": "q", "choices": ["blue", "green", "red"], "answer": answer})
    needed = "is none of the 3 choices, nor a letter or an index (from 0) of one"
    assert found == f"'answer' {str(answer)!r} {needed}"


# Malformed rows


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"prompt": "a", "completion": None}, "no 'completion' (found: prompt)"),
        ({"prompt": None, "completion": None}, "no 'prompt' (found: nothing)"),
        ({"prompt": "a", "completion": ""}, "'completion' is empty"),
        ({"prompt": " \n", "completion": "b"}, "'prompt' is empty"),
        ({"prompt": "a", "completion": True}, "'completion' is bool, needed text"),
        ({"prompt": "a", "completion": {"b": 1}}, "'completion' is dict, needed text"),
        ({"prompt": "a", "completion": []}, "'completion' must be a list of at least one message"),
        ({"prompt": "a", "completion": ["b"]}, "completion[0] is str, needed a message"),
        ({"prompt": "a\0", "completion": "b"}, "'prompt' contains a NUL character"),
        ({"prompt": "a", "completion": "b", "id": " "}, "'id' is empty"),
        ({"prompt": "a", "completion": "b", "id": [1]}, "'id' is list, needed text"),
        ({"prompt": "a", "completion": "b", "aliases": {}}, "'aliases' is dict, needed a list"),
        ({"prompt": "a", "completion": "b", "aliases": "[1"},
         "'aliases' is not a valid JSON list: Expecting ',' delimiter"),
        ({"prompt": "a", "completion": "b", "aliases": [""]}, "'aliases' is empty"),
        ({"text": " "}, "'text' is empty"),
        ({"question": "q", "choices": ["a"], "answer": 0},
         "'choices' has 1 entries, needed at least 2"),
        ({"question": "q", "choices": None, "answer": 0},
         "'choices' has 0 entries, needed at least 2"),
        ({"question": "q", "choices": ["a", "b", "a"], "answer": 0},
         "'choices' has the same entry twice"),
        ({"question": "q", "choices": ["a", None], "answer": 0},
         "'choices' is NoneType, needed text"),
        ({"question": "q", "choices": 3, "answer": 0}, "'choices' is int, needed a list"),
        ({"question": "", "choices": ["a", "b"], "answer": 0}, "'question' is empty"),
        ({"messages": []}, "'messages' must be a list of at least one message"),
        ({"messages": "hello"}, "'messages' is not valid JSON: Expecting value"),
        ({"messages": {"role": "user"}}, "'messages' must be a list of at least one message"),
        ({"messages": [{"role": "human", "content": "a"}]},
         "messages[0] has role 'human', needed one of system, user, assistant, tool"),
        ({"messages": [CHAT[1], {"role": "assistant"}]}, "messages[1] has no content"),
        ({"messages": [CHAT[1], {"role": "assistant", "content": ""}]},
         "'messages[1].content' is empty"),
        ({"messages": [CHAT[1], {"role": "assistant", "content": [{"type": "text"}]}]},
         "'messages[1].content' is list, needed text"),
        ({"messages": [CHAT[1], CHAT[2] | {"weight": Number("0.0")}]},
         "messages[1] is marked as not to be learned, but every assistant turn is"),
        ({"messages": [CHAT[1], CHAT[2] | {"weight": 0}]},
         "messages[1] is marked as not to be learned, but every assistant turn is"),
        ({"messages": [CHAT[1], CHAT[2] | {"weight": False}]},
         "messages[1] is marked as not to be learned, but every assistant turn is"),
        ({"messages": [CHAT[1], CHAT[2] | {"train": False}]},
         "messages[1] is marked as not to be learned, but every assistant turn is"),
        ({"messages": [CHAT[1], {"role": "assistant", "content": [{"type": "image", "text": 1}]}]},
         "'messages[1].content' is list, needed text"),
        ({"conversations": [{"from": "narrator", "value": "x"}]},
         "conversations[0] is from 'narrator', needed one of human, user, prompter, gpt, assistant,"
         " model, chatgpt, function_call, system, tool, observation, function_response"),
        ({"conversations": [{"from": "human"}]}, "conversations[0] has no content"),
        ({"instruction": "a", "output": ""}, "'output' is empty"),
        ({"instruction": "a", "input": [1], "output": "b"}, "'input' is list, needed text"),
        ({"instruction": "a", "output": "b", "history": [["c"]]},
         "history[0] must be a pair: a question and its answer"),
        ({"messages": CHAT[:2]}, "the last message is from 'user', needed one from 'assistant'"),
        ({"messages": [CHAT[0], CHAT[2]]}, "there is no message from 'user' before the last one"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_told_which_field_is_wrong_and_what_was_needed(
    record: dict[str, Any], message: str
) -> None:
    assert fault(record) == message


def test_a_row_of_another_shape_than_its_source_is_refused() -> None:
    assert fault({"text": "x"}, "prompt_completion") == "no 'prompt' (found: text)"


@pytest.mark.parametrize("shape", get_args(Format))
def test_an_empty_record_is_refused_in_every_shape(shape: Format) -> None:
    assert fault({}, shape) in {
        *(
            f"no {name!r} (found: nothing)"
            for name in ("messages", "conversations", "prompt", "instruction", "question", "text")
        ),
        "'choices' has 0 entries, needed at least 2",
        "no 'answer' (found: nothing)",
    }


@pytest.mark.parametrize(
    "record",
    [
        {"messages": CHAT},
        {"conversations": CHAT},
        {"instruction": "?", "output": "a"},
        {"question": "?", "choices": ["a", "b"], "answer": 0},
        {"prompt": "?", "completion": "a"},
        {"question": "?", "answer": "a"},
        {"text": "a"},
    ],
)
def test_rows_of_every_shape_may_belong_to_a_group(record: dict[str, Any]) -> None:
    assert row(record).group == ""
    assert row(record | {"group": 3}).group == "3"
    assert "'group' is list, needed text" in fault(record | {"group": ["a"]})
