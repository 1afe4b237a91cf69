from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.errors import ModelError, PlanError
from forgetless.methods.compose import Compose
from forgetless.methods.on_policy_replay import OnPolicyReplay
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.load import LoadedModel
from forgetless.plan import MethodSpec
from forgetless.tasks.examples import Examples
from forgetless.tasks.render import Encoded
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task, exchange_hash
from forgetless.training.schedule import build_schedule
from tests.methods.scripted import Says, Script, words
from tests.tiny import build_tokenizer
from tests.training.build import (
    colour_task,
    exchange,
    fresh,
    make_task,
    one_stage_a_task,
    settings,
    train,
    workbench,
)

END, ASSISTANT = 256, 259
OLD = colour_task("old")
NEW = colour_task("new", 1, count=150)


def second(old: Task = OLD, new: Task = NEW, **changes: Any) -> Stage:
    return replace(one_stage_a_task([old, new])[1], **changes)


def kept(method: OnPolicyReplay, *tasks: Task) -> OnPolicyReplay:
    """The method after it kept prompts of some tasks."""
    for stage in one_stage_a_task(tasks):
        method.keep_rows(stage)
    return method


def answered(bench: Workbench, old: Task = OLD, **options: Any) -> Examples:
    (rows,) = kept(OnPolicyReplay(**options), old).rehearsal(bench)
    assert isinstance(rows.rows, Examples)
    return rows.rows


def all_of(examples: Examples) -> dict[str, Encoded]:
    """Each example by the id of its row."""
    return {origin.row: examples[index] for index, origin in enumerate(examples.origins)}


def gold(bench: Workbench, task: Task = OLD) -> dict[str, Encoded]:
    renderer = task.renderer(bench.tokenizer)
    return {row.id: renderer.encode(row)[-1] for row in task.train}


@pytest.fixture
def bench(tiny_model: Path) -> Workbench:
    return workbench(fresh(tiny_model), second())


@pytest.fixture(scope="module")
def taught(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model that was taught the old task a while; do not change it."""
    loaded = fresh(tiny_model)
    config = settings(steps=50, batch_size=12, learning_rate=1e-2)
    train(loaded, one_stage_a_task([OLD])[0], config, tmp_path_factory.mktemp("taught"))
    return loaded


def always(*answer: int) -> Script:
    return lambda prompts: [list(answer) for _ in prompts]


def test_prompt_is_the_one_that_was_trained_and_the_answer_the_model_s_own(
    bench: Workbench, says: Says
) -> None:
    calls = says(always(*words("teal, I think"), END))
    found = all_of(answered(bench, accept="any", max_new_tokens=33, temperature=0.7))
    assert found.keys() == {row.id for row in OLD.train}
    for row in OLD.train:
        text = f"<|user|>{row.prompt[0].content}<|end|>\n<|assistant|>"
        answer = words("teal, I think")
        assert found[row.id].ids == [*words(text), *answer, END]
        assert found[row.id].learned == [False] * len(words(text)) + [True] * (len(answer) + 1)
    (call,) = calls
    assert call["longest"] == 33
    assert call["temperature"] == 0.7
    assert call["stops"] == {END}


def test_only_answers_that_the_scorer_accepts_take_the_place_of_the_old_ones(
    bench: Workbench, says: Says
) -> None:
    """After normalisation, as in a test; all others keep the old one."""
    says(always(*words(" Red. "), END))
    found, old = all_of(answered(bench)), gold(bench)
    red = {row.id for row in OLD.train if row.answer == "red"}
    assert 0 < len(red) < len(OLD.train)
    for row in OLD.train:
        if row.id in red:
            assert bench.tokenizer.decode(found[row.id].ids).endswith(" Red. <|end|>")
        else:
            assert found[row.id] == old[row.id]
    dropped = all_of(answered(bench, otherwise="drop"))
    assert dropped == {row: found[row] for row in red}


@pytest.mark.parametrize(
    ("score", "answer", "threshold", "accepted"),
    [
        ("exact_match", "a b c d", 0.5, False),
        ("exact_match", "a b x", 0.5, True),
        ("exact_match", "an alias", 0.5, True),
        ("contains", "it is a b x, surely", 0.5, True),
        ("contains", "a b c", 0.5, False),
        ("token_f1", "a b c d", 0.5, True),  # 4/7
        ("token_f1", "a b c d", 0.6, False),
        ("token_f1", "a b x", 1.0, True),
        ("multiple_choice", "A b x.", 0.5, True),
        ("multiple_choice", "no", 0.5, False),
        ("nll", "a b x", 0.5, False),  # nothing there says what is right
    ],
)
def test_scorer_is_the_task_s_own(
    score: str,
    answer: str,
    threshold: float,
    accepted: bool,
    bench: Workbench,
    says: Says,
) -> None:
    row = exchange("r", "What?", "a b x", choices=("a b x", "no"), aliases=("an alias",))
    old = make_task("old", [row], score=score)
    says(always(*words(answer), END))
    bench.stage = second(old)
    (found,) = all_of(answered(bench, old, threshold=threshold)).values()
    text = bench.tokenizer.decode(found.ids).split("<|assistant|>")[1]
    assert text.startswith(answer if accepted else "a b x")
    assert text.endswith("<|end|>" if accepted else "<|end|>\n")


@pytest.mark.parametrize("answer", [[], [END], words("red"), words("red") * 40])
def test_answer_that_is_empty_or_has_no_end_is_not_learned(
    answer: list[int], bench: Workbench, says: Says
) -> None:
    says(always(*answer))
    assert all_of(answered(bench, accept="any")) == gold(bench)
    with pytest.raises(ModelError, match=r"of 12 old prompts the model answered none") as caught:
        answered(bench, accept="any", otherwise="drop")
    assert "otherwise: gold" in str(caught.value.fix)


def test_likeliest_answers_are_those_that_a_test_would_see(taught: LoadedModel) -> None:
    from forgetless.evaluation.generation import generate

    bench = workbench(taught, second())
    renderer = OLD.renderer(taught.tokenizer)
    prompts = [renderer.prompt_ids(row) for row in OLD.train]
    outputs = generate(taught, prompts, 20, renderer.stop_ids())
    right = {row.id for row, out in zip(OLD.train, outputs, strict=True) if row.answer == out}
    assert len(right) > 3
    options: dict[str, Any] = {"temperature": 0, "max_new_tokens": 20, "otherwise": "drop"}
    found = all_of(answered(bench, **options))
    assert found.keys() == right
    for row, output in zip(OLD.train, outputs, strict=True):
        if row.id in right:
            text = f"<|user|>{row.prompt[0].content}<|end|>\n<|assistant|>{output}<|end|>"
            assert taught.tokenizer.decode(found[row.id].ids) == text


@pytest.mark.parametrize("ratio", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("accept", ["any", "scored"])
def test_share_of_tokens_is_what_was_asked_to_within_a_point(
    ratio: float, accept: str, taught: LoadedModel
) -> None:
    config = settings(steps=None, epochs=2)
    method = kept(OnPolicyReplay(ratio=ratio, accept=accept, max_new_tokens=9), OLD)
    bench = workbench(taught, second(), config)
    schedule = build_schedule(bench, Compose([method]), config)
    assert schedule.replayed_tokens / schedule.tokens == pytest.approx(ratio, abs=0.01)
    tasks = {json.loads(line)["task"] for line in schedule.lines()}
    assert tasks == {"old", "new"}


def test_test_items_are_never_in_as_they_are_or_as_answered(bench: Workbench, says: Says) -> None:
    rows = [exchange("leaked", "What is A?", "tested"), exchange("safe", "What is B?", "old")]
    tests = [rows[0], exchange("t", "what is b?", "Teal")]
    old = make_task("old", rows, [exchange("other", "?", "-")])
    stage = second(old, held_back=frozenset(map(exchange_hash, tests)))
    says(always(*words("teal"), END))  # a test item's answer to the other question
    for accept in ("any", "scored"):
        bench.stage = stage
        assert all_of(answered(bench, old, accept=accept)) == {"safe": gold(bench, old)["safe"]}
    free = replace(stage, held_back=frozenset())
    bench.stage = free
    assert all_of(answered(bench, old, accept="any")).keys() == {"leaked", "safe"}


def test_last_turn_of_a_conversation_is_answered_anew_and_alone_learned(
    bench: Workbench, says: Says
) -> None:
    turns = (Turn("user", "One?"), Turn("assistant", "two"), Turn("user", "And?"))
    before = "<|user|>One?<|end|>\n<|assistant|>two<|end|>\n<|user|>And?<|end|>\n<|assistant|>"
    for render, prompt in (("chat", before), ("plain", None)):
        old = make_task("old", [Row("r", turns, "four")], score="contains", render=render)
        bench.stage = second(old)
        calls = says(always(*words("four!"), END))
        found = all_of(answered(bench, old))["r"]
        (asked,) = calls[0]["prompts"]
        assert found.ids == [*asked, *words("four!"), END]
        assert found.learned == [False] * len(asked) + [True] * 6
        text = bench.tokenizer.decode(asked)
        assert text == prompt or (prompt is None and text.count("<|") == 0 and "two" in text)


def test_row_that_asks_nothing_keeps_its_text_or_is_left_out(bench: Workbench, says: Says) -> None:
    old = make_task(
        "old",
        [Row("text", (), "Once upon a time"), exchange("asks", "What?", "this")],
        render="plain",
    )
    bench.stage = second(old)
    says(lambda prompts: [[*words("that"), END] for _ in prompts])
    found = all_of(answered(bench, old, accept="any"))
    assert found["text"] == gold(bench, old)["text"]
    assert found["asks"] != gold(bench, old)["asks"]
    left = answered(bench, old, accept="any", otherwise="drop")
    assert [origin.row for origin in left.origins] == ["asks"]


def test_prompt_that_leaves_no_room_is_not_answered(tiny_model: Path) -> None:
    bench = workbench(fresh(tiny_model), second(), settings(max_length=20))
    rows = [exchange("long", "w" * 30, "x"), exchange("short", "w", "x")]
    old = make_task("old", rows)
    bench.stage = second(old)
    found = answered(bench, old, accept="any")
    assert [origin.row for origin in found.origins] == ["short"]


def test_prompts_kept_are_equally_many_of_each_task() -> None:
    tasks = [colour_task(name, n) for n, name in enumerate("abc")]
    method = kept(OnPolicyReplay(size=9), *tasks)
    rows = method.state().values["kept"]
    assert Counter(name for name, _ in rows) == {"a": 3, "b": 3, "c": 3}
    other = kept(OnPolicyReplay(size=9), *tasks[::-1]).state().values["kept"]
    assert sorted(rows) != sorted(other)  # each stage draws by itself


def test_old_answers_stand_for_new_ones_in_a_dry_run(tiny_model: Path, says: Says) -> None:
    calls = says(always(7))
    loaded = fresh(tiny_model)
    loaded.model = copy.deepcopy(loaded.model).to("meta")
    config = settings(steps=None, epochs=2)
    bench = workbench(loaded, second(), config)
    method = kept(OnPolicyReplay(ratio=0.2), OLD)
    schedule = build_schedule(bench, Compose([method]), config)
    assert schedule.replayed_tokens / schedule.tokens == pytest.approx(0.2, abs=0.01)
    assert calls == []
    assert method.state().tensors == {}


def test_nothing_is_answered_where_nothing_is_old(tiny_model: Path, says: Says) -> None:
    calls = says(always(7))
    first = one_stage_a_task([OLD, NEW])[0]
    bench = workbench(fresh(tiny_model), first)
    assert OnPolicyReplay().rehearsal(bench) == []
    assert not OnPolicyReplay().acts_in(first)
    assert OnPolicyReplay().acts_in(second())
    assert not OnPolicyReplay(ratio=0).acts_in(second())
    assert OnPolicyReplay(ratio=0).rehearsal(workbench(fresh(tiny_model), second())) == []
    emptied = second(held_back=frozenset(map(exchange_hash, OLD.train)))
    method = kept(OnPolicyReplay(), OLD)
    (rows,) = method.rehearsal(workbench(fresh(tiny_model), emptied))
    assert list(rows.rows) == []  # type: ignore[arg-type]
    assert calls == []


def test_killed_stage_goes_on_with_the_answers_it_had_and_the_next_answers_anew(
    taught: LoadedModel, tmp_path: Path, says: Says
) -> None:
    methods = Compose([kept(OnPolicyReplay(accept="any", max_new_tokens=9), OLD)])
    bench = workbench(taught, second())
    ((_, first),) = methods.rehearsal(bench)
    methods.save(tmp_path / "state")
    again = Compose([OnPolicyReplay(accept="any", max_new_tokens=9)])
    again.restore(tmp_path / "state")
    calls = says(always(*words("teal"), END))
    ((_, found),) = again.rehearsal(bench)
    assert all_of(found) == all_of(first)
    assert calls == []
    bench.stage = replace(bench.stage, number=3)
    again.rehearsal(bench)
    assert len(calls) == 1


def test_same_seed_answers_the_same_and_another_seed_something_else(taught: LoadedModel) -> None:
    def answers(seed: int) -> dict[str, Encoded]:
        stage = second(seed=seed)
        return all_of(answered(workbench(taught, stage), accept="any", temperature=3.0))

    state = torch.get_rng_state()
    assert answers(0) == answers(0)
    assert answers(0) != answers(1)
    assert torch.get_rng_state().equal(state)


class Tokens:
    """A row of which only the tokens are known."""

    def __init__(self, number: int) -> None:
        self.id = str(number)

    def encode(self, row: Any) -> list[Encoded]:
        """Itself; a line break after the turn is learned, as some trainers do."""
        ids = [258, 70, int(row.id) + 65, END, ASSISTANT, 80, END, 198]
        return [Encoded(ids, [False] * 5 + [True] * 3)]


class Foreign(Task):
    """A task of a user's own trainer."""

    def renderer(self, tokenizer: Any) -> Any:
        return Tokens(0)


def test_rows_of_a_user_s_own_trainer_need_no_text(tiny_model: Path, says: Says) -> None:
    """Where nothing is held back and any answer will do, tokens are enough."""
    old = Foreign(OLD.config, [Tokens(n) for n in range(5)], ())  # type: ignore[misc]
    stage = second(old, held_back=frozenset())
    calls = says(always(90, 91, END))
    found = all_of(answered(workbench(fresh(tiny_model), stage), old, accept="any"))
    assert found == {
        str(n): Encoded([258, 70, n + 65, END, ASSISTANT, 90, 91, END], [False] * 5 + [True] * 3)
        for n in range(5)
    }
    assert calls[0]["stops"] == {END}  # and not the line break


def test_answer_ends_with_what_ends_a_turn_or_a_text(bench: Workbench, says: Says) -> None:
    bench.tokenizer = build_tokenizer()
    bench.tokenizer.eos_token_id = 260
    calls = says(always(*words("teal"), END))
    answered(bench, accept="any")
    assert calls[0]["stops"] == {END, 260}


def test_rows_from_which_nothing_is_learned_are_left_out(bench: Workbench, says: Says) -> None:
    class Mute(Tokens):
        def encode(self, row: Any) -> list[Encoded]:
            return [] if row.id == "0" else [Encoded([65, 66], [row.id == "1", row.id == "2"])]

    class Some(Task):
        def renderer(self, tokenizer: Any) -> Any:
            return Mute(0)

    old = Some(OLD.config, [Tokens(n) for n in range(3)], ())  # type: ignore[misc]
    bench.stage = second(old, held_back=frozenset())
    says(always(90, END))
    assert all_of(answered(bench, old, accept="any")) == {
        "2": Encoded([65, 90, END], [False, True, True])
    }


def test_scored_answers_are_for_runs_only_and_any_are_not() -> None:
    assert "accept: any" in OnPolicyReplay().only_in_runs
    assert OnPolicyReplay(accept="any").only_in_runs == ""


def test_joint_training_needs_no_old_answers() -> None:
    with pytest.raises(PlanError, match="on_policy_replay and joint cannot be combined"):
        Compose.from_plan([MethodSpec(name="on_policy_replay"), MethodSpec(name="joint")])


def test_identity_holds_the_test_items_that_are_left_out() -> None:
    stage = second()
    other = replace(stage, held_back=stage.held_back | {b"another"})
    assert OnPolicyReplay().identity(stage) != OnPolicyReplay().identity(other)
    assert OnPolicyReplay().identity(stage) != OnPolicyReplay(threshold=0.9).identity(stage)


def test_identity_holds_the_scores_of_earlier_tasks_where_they_judge_answers() -> None:
    other = second(replace(OLD, config=OLD.config.model_copy(update={"score": "contains"})))
    stage = second(held_back=other.held_back)
    assert OnPolicyReplay().identity(stage) != OnPolicyReplay().identity(other)
    unjudged = OnPolicyReplay(accept="any")
    assert unjudged.identity(stage) == unjudged.identity(other)


def test_buffer_is_drawn_from_a_stream_of_its_own() -> None:
    from forgetless.methods.replay import Replay

    old = Replay(buffer="balanced", size=5)
    for stage in one_stage_a_task([OLD]):
        old.keep_rows(stage)
    ours = kept(OnPolicyReplay(size=5), OLD).state().values["kept"]
    assert ours != old.state().values["kept"]
    assert ours == kept(OnPolicyReplay(size=5), OLD).state().values["kept"]
