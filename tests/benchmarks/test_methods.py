"""The comparison of methods: its protocol, its facts, its tables; no figure is asked to be good."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarks.comparison import again, overhead, page, tables, tiny
from benchmarks.comparison.arms import ARMS, OVERHEADS, WANTED, at_the_middle, available, peer
from benchmarks.comparison.records import command
from benchmarks.comparison.rows import told
from benchmarks.comparison.smollm2 import SMOLLM2
from benchmarks.comparison.tiny import TINY
from benchmarks.methods import adjusted, chosen

from forgetless.comparing.arms import JOINT, LORA, SEQUENTIAL, Arm, Candidate
from forgetless.comparing.clock import LEARNING, CostClock
from forgetless.comparing.protocol import Trial, choose, compare
from forgetless.comparing.runs import MEASURED, Job, Measured, StageCost, execute, finished
from forgetless.comparing.settings import Setting
from forgetless.comparing.trials import job_name, plan_of
from forgetless.methods import METHODS
from forgetless.methods.compose import Compose
from forgetless.methods.groups import GROUPS
from forgetless.metrics import ScoreMatrix, TaskColumn
from forgetless.plan import make_plan
from forgetless.tasks.matching import exact_match
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import exchange_hash
from tests.integration.conftest import data, settings

__all__ = ["data"]  # a fixture

PLAIN, BOTH = Arm(SEQUENTIAL, {}), Arm(JOINT, {"joint": {}})
SOME = Arm("some", {"replay": {}}, {"replay.ratio": (0.1, 0.2)})


def matrix(*final: float, learned: float = 1.0) -> ScoreMatrix:
    """Two tasks, one a stage, learned to ``learned`` and ending at ``final``."""
    tasks = [TaskColumn("a", trained_in=1), TaskColumn("b", trained_in=2)]
    return ScoreMatrix.from_values(
        ["base", "a", "b"], tasks, [[0.0, 0.0], [learned, 0.0], list(final)]
    )


def measured(*final: float, cpu: float = 1.0, memory: float | None = None) -> Measured:
    scores = matrix(*final)
    return Measured(scores, scores, (StageCost(cpu, cpu, cpu, 0.0),), memory)


def setting(**changes: Any) -> Setting:
    given: dict[str, Any] = {
        "prepare": lambda seed: {"seed": seed},
        "rates": (1e-3, 1e-2),
        "search_seeds": (100,),
        "seeds": (0, 1),
    }
    return Setting(**(given | changes))


# The protocol


def test_best_mean_over_the_seeds_is_chosen_and_of_equals_the_first() -> None:
    low, middle, high = (Candidate(rate) for rate in (1e-4, 1e-3, 1e-2))
    found = {
        low: [measured(0.5, 0.5), measured(0.5, 0.7)],
        middle: [measured(0.9, 0.9), measured(0.1, 0.5)],
        high: [measured(0.6, 0.6), measured(0.6, 0.6)],
    }
    assert choose(found).candidate == middle
    assert choose(found).values == pytest.approx({low: 0.55, middle: 0.6, high: 0.6})


def test_rate_at_which_a_run_failed_is_never_chosen() -> None:
    low, high = Candidate(1e-4), Candidate(1e-2)
    broken = Measured(failed="the loss became nan")
    choice = choose({low: [measured(0.1, 0.1)], high: [measured(1.0, 1.0), broken]})
    assert choice.candidate == low
    assert choice.values[high] == "the loss became nan"
    assert choose({high: [broken]}).candidate is None


def test_half_of_the_items_that_is_reported_does_not_choose() -> None:
    low, high = Candidate(1e-4), Candidate(1e-2)
    found = {
        low: [Measured(search=matrix(0.9, 0.9), report=matrix(0.1, 0.1))],
        high: [Measured(search=matrix(0.5, 0.5), report=matrix(1.0, 1.0))],
    }
    assert choose(found).candidate == low


class Fake:
    """Runs whose scores are known: by seed, rate and ratio of replay."""

    def __init__(self, scores: Mapping[tuple[str, int, float], float]) -> None:
        self.scores = scores
        self.asked: list[list[Trial]] = []

    def __call__(self, trials: Sequence[Trial]) -> dict[Trial, Measured]:
        self.asked.append(list(trials))
        return {
            trial: measured(
                self.scores.get((trial.arm.name, trial.seed, trial.candidate.rate), 0.2), 1.0
            )
            for trial in trials
        }


def test_what_chooses_a_rate_is_never_what_is_reported() -> None:
    best_where_searched = {("some", 100, 1e-2): 0.9, ("some", 0, 1e-3): 1.0, ("some", 1, 1e-3): 1.0}
    run = Fake(best_where_searched)
    rows = told(setting(), compare(setting(), [PLAIN, BOTH, SOME], run))
    assert rows[2]["rate"] == 1e-2
    assert [figure["final"]["a"] for figure in rows[2]["runs"]] == [0.2, 0.2]
    searched, reported = run.asked
    assert {trial.seed for trial in searched} == {100}
    assert {trial.seed for trial in reported} == {0, 1}


def test_every_point_of_the_grid_is_searched_with_every_search_seed() -> None:
    run = Fake({})
    compare(setting(search_seeds=(100, 101)), [PLAIN, BOTH, SOME], run)
    points = Counter(trial.arm.name for trial in run.asked[0])
    assert points == {SEQUENTIAL: 4, JOINT: 4, "some": 8}


def test_seed_that_would_choose_and_be_reported_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seed 1 would choose rates and be reported"):
        setting(search_seeds=(1, 100))
    setting(search_seeds=(1,), split_items=True)
    for real in (TINY, SMOLLM2):
        assert real.split_items or not {*real.search_seeds} & {*real.seeds}


def test_gap_closed_is_0_for_plain_and_1_for_joint_training_and_a_share_between() -> None:
    finals = {SEQUENTIAL: 0.2, JOINT: 1.0, "some": 0.6}
    run = Fake({(name, seed, 1e-3): v for name, v in finals.items() for seed in (0, 1)})
    rows = told(setting(), compare(setting(rates=(1e-3,)), [PLAIN, BOTH, SOME], run))
    gaps = [[figure["gap_closed"] for figure in row["runs"]] for row in rows]
    assert gaps == [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]
    assert rows[2]["runs"][0]["average_accuracy"] == 0.8
    assert rows[2]["runs"][0]["forgetting"] == pytest.approx(0.4)


def test_cost_and_memory_are_relative_to_plain_training_with_the_same_seed() -> None:
    costs = {(SEQUENTIAL, 0): 2.0, (SEQUENTIAL, 1): 4.0, ("some", 0): 3.0, ("some", 1): 3.0}

    def run(trials: Sequence[Trial]) -> dict[Trial, Measured]:
        return {
            trial: measured(
                1, 1, cpu=costs.get((trial.arm.name, trial.seed), 1.0), memory=100 + trial.seed
            )
            for trial in trials
        }

    rows = told(setting(), compare(setting(rates=(1e-3,)), [PLAIN, BOTH, SOME], run))
    assert [figure["cost"] for figure in rows[2]["runs"]] == [1.5, 0.75]
    assert [figure["memory"] for figure in rows[2]["runs"]] == [1.0, 1.0]


def test_reported_run_that_failed_is_no_score_and_hides_its_arms_means() -> None:
    def run(trials: Sequence[Trial]) -> dict[Trial, Measured]:
        return {
            trial: Measured(failed="became nan")
            if (trial.arm.name, trial.seed) == ("some", 1)
            else measured(0.5, 1.0)
            for trial in trials
        }

    rows = told(setting(), compare(setting(rates=(1e-3,)), [PLAIN, BOTH, SOME], run))
    results = {"setting": "fake", "arms": rows}
    line = next(row for row in tables.comparison(results).rows if row[0] == "some")
    assert set(line[2:-1]) == {"–"}
    assert tables.failures(results) == ["some, seed 1: became nan"]


def test_kept_results_are_measured_again_at_the_point_that_was_chosen_and_nothing_else() -> None:
    scores = {("some", 100, 1e-2): 0.9, ("some", 0, 1e-2): 0.6, ("some", 1, 1e-2): 0.8}
    arms = [PLAIN, BOTH, SOME]
    before = told(setting(), compare(setting(), arms, Fake(scores)))
    run = Fake(scores)
    now = told(setting(), again.measure(setting(), arms, before, run))
    assert now == before
    [asked] = run.asked
    assert {trial.seed for trial in asked} == {0, 1}
    assert {str(trial.candidate) for trial in asked if trial.arm == SOME} == {
        "0.01, replay.ratio 0.1"
    }
    with pytest.raises(ValueError, match="no point of 'other'"):
        again.measure(setting(), [Arm("other", {})], before, run)


def test_average_comes_out_again_if_it_lies_in_the_interval_of_the_mean_of_then() -> None:
    """Of .6 and .8 the mean is .7, its standard error .1, and t of one degree 12.706.

    Of .5, .6 and .7 it is .6, .0577 and 4.303: half of the interval is .248.
    """

    def rows(*averages: float | None) -> list[dict[str, Any]]:
        return [{"arm": "some", "runs": [{"average_accuracy": value} for value in averages]}]

    then = rows(0.6, 0.8)
    assert again.compared(then, rows(0.0, 0.0)).rows == [["some", "0.70 ± 1.28", "0.00", "yes"]]
    spread = rows(0.5, 0.6, 0.7)
    assert again.compared(spread, rows(0.85)).rows == [["some", "0.60 ± 0.25", "0.85", "yes"]]
    assert again.compared(spread, rows(0.34)).rows == [["some", "0.60 ± 0.25", "0.34", "no"]]
    sure = rows(0.7, 0.7, 0.7)
    assert again.compared(sure, rows(0.704, 0.704)).rows[0][2:] == ["0.70", "yes"]
    assert again.compared(sure, rows(0.71, 0.71)).rows[0][1:] == ["0.70 ± 0.01", "0.71", "no"]
    assert again.compared(then, rows(0.6, None)).rows == [["some", "failed", "failed", "failed"]]


# The facts of the tiny setting


def test_no_answer_of_a_task_is_right_or_possible_in_another() -> None:
    answers = [{*tiny.RELATIONS[task].answers} for task in tiny.RELATIONS]
    assert sum(map(len, answers)) == len(set().union(*answers))
    assert tiny.UNKNOWN not in set().union(*answers)


def test_every_task_asks_of_the_same_people_and_no_answer_is_likelier_than_another() -> None:
    for facts in tiny.taught_facts(0).values():
        assert list(facts) == list(tiny.PEOPLE)
        assert set(Counter(facts.values()).values()) == {2}


def test_facts_of_one_task_do_not_tell_those_of_another() -> None:
    """People with the same city do not have the same colour and food."""
    facts = tiny.taught_facts(0)
    for first, second in (("city", "colour"), ("city", "food"), ("colour", "food")):
        pairs = {(facts[first][name], facts[second][name]) for name in tiny.PEOPLE}
        assert len(pairs) > 0.9 * len(tiny.PEOPLE)


def test_base_model_is_told_nothing_of_what_will_be_taught() -> None:
    known = tiny.known_facts(0)
    assert {known[task][name] for task in tiny.TAUGHT for name in tiny.PEOPLE} == {tiny.UNKNOWN}
    assert tiny.UNKNOWN not in {known[task][name] for task in tiny.TAUGHT for name in tiny.OTHERS}
    assert tiny.UNKNOWN not in known[tiny.KNOWN].values()
    assert not {*tiny.PEOPLE} & {*tiny.OTHERS}


def test_seed_changes_all_facts() -> None:
    for make in (tiny.taught_facts, tiny.known_facts):
        assert make(0) == make(0) != make(1)


def test_test_asks_in_the_words_of_training_yet_rehearsal_may_draw_the_rows() -> None:
    files = tiny.data(0)
    for task in tiny.TAUGHT:
        for ours, asked in zip(files[task], files[f"{task}_test"], strict=True):
            assert ours["prompt"] == asked["prompt"]
            assert exact_match(ours["completion"], [asked["completion"]])
            hashes = {
                exchange_hash(Row("", (Turn("user", row["prompt"]),), row["completion"]))
                for row in (ours, asked)
            }
            assert len(hashes) == 2


def test_every_word_of_the_tiny_setting_is_one_token_of_its_own() -> None:
    tokenizer = tiny.build_tokenizer()
    other = tokenizer.convert_tokens_to_ids("<|other|>")
    for relation in tiny.RELATIONS.values():
        for answer in relation.answers:
            ids = tokenizer(f"{relation.question.format('Anna')} {answer}.")["input_ids"]
            assert other not in ids
    assert len(tokenizer("Where does Anna live?")["input_ids"]) == 5


# The arms


def test_every_method_is_in_a_group_and_measured() -> None:
    grouped = [name for _, members in GROUPS.values() for name in members]
    assert len(grouped) == len({*grouped})
    assert set(METHODS) <= {*grouped}
    bounds = {SEQUENTIAL, JOINT}
    assert set(METHODS) <= bounds | {name for arm in ARMS for name in arm.methods}
    assert set(METHODS) - bounds <= {name for arm in OVERHEADS for name in arm.methods}


@pytest.mark.parametrize("arms", [ARMS, OVERHEADS])
def test_every_arm_of_methods_that_are_there_is_a_valid_plan(arms: Sequence[Arm]) -> None:
    for arm in available(arms, [*METHODS]):
        for candidate in arm.candidates([1e-3]):
            plan = plan_of(Trial(arm, candidate, 0), TINY, {"training": {}})
            made = make_plan({**plan, "model": "m", "sequence": ["a.jsonl"]})
            assert {spec.name for spec in made.methods} == {*arm.methods}
            assert made.training.learning_rate == candidate.rate
            Compose.from_plan(made.methods)


def test_arms_have_names_of_their_own_and_search_options_of_their_own_methods() -> None:
    for arms in (ARMS, OVERHEADS):
        assert len({arm.name for arm in arms}) == len(arms)
        for arm in arms:
            assert {key.split(".")[0] for key in arm.searched} <= {*arm.methods}
    assert set(WANTED) <= {arm.name for arm in OVERHEADS}
    assert {peer(arm) for arm in OVERHEADS} == {None, SEQUENTIAL, LORA}


def test_no_two_trials_share_a_folder() -> None:
    names = [
        job_name(Trial(arm, candidate, seed))
        for arm in ARMS
        for candidate in arm.candidates(TINY.rates_for(adapter=arm.adapter))
        for seed in (0, 10)
    ]
    assert len(names) == len({*names})


def test_searched_values_go_into_the_plan_and_an_arms_own_options_before_the_settings() -> None:
    arm = Arm("two", {"kl": {"rows": "new"}, "lora": {}}, {"kl.strength": (0.5, 2.0)})
    candidates = list(arm.candidates([1e-3, 1e-2]))
    assert [str(candidate) for candidate in candidates] == [
        "0.001, kl.strength 0.5",
        "0.001, kl.strength 2.0",
        "0.01, kl.strength 0.5",
        "0.01, kl.strength 2.0",
    ]
    plan = arm.plan(candidates[1], {"kl": {"rows": "both", "top_k": 4}, "ewc": {"samples": 1}})
    assert plan == [{"kl": {"rows": "new", "top_k": 4, "strength": 2.0}}, {"lora": {}}]
    assert arm.methods == {"kl": {"rows": "new"}, "lora": {}}


def test_command_line_narrows_arms_rates_and_seeds() -> None:
    names = [arm.name for arm in chosen(ARMS, "replay 8%, lo*", fixed=False)]
    assert names[:2] == [SEQUENTIAL, JOINT]
    assert {"replay 8%", "lora"} <= {*names}
    assert "replay 20%" not in names
    with pytest.raises(ValueError, match="no arm is named 'replai'"):
        chosen(ARMS, "replay*,replai", fixed=False)
    quick = adjusted(TINY, (1e-4, 2e-4, 3e-4), (), quick=True)
    assert (quick.rates, quick.seeds) == ((2e-4,), TINY.seeds[:1])
    assert adjusted(SMOLLM2, (), (7,), quick=False).search_seeds == (7,)
    assert all(len(list(arm.candidates([1e-3]))) == 1 for arm in chosen(ARMS, "*", fixed=True))


def test_untuned_arm_has_the_middle_rate_and_is_not_searched() -> None:
    untuned = Arm("untuned", {}, tuned=False)
    run = Fake({})
    where = setting(rates=(1e-4, 1e-3, 1e-2))
    row = told(where, compare(where, [PLAIN, BOTH, untuned], run))[2]
    assert (row["rate"], row["searched"]) == (1e-3, [])
    assert "untuned" not in {trial.arm.name for trial in run.asked[0]}
    assert len(row["runs"]) == 2


def test_middle_of_an_arms_grid_is_one_point() -> None:
    arm = Arm("two", {"kl": {}, "merge": {}}, {"kl.strength": (1, 2, 3), "merge.alpha": (0.4, 0.8)})
    points = [candidate.tuned for candidate in at_the_middle(arm).candidates([1e-3])]
    assert points == [(("kl.strength", 2), ("merge.alpha", 0.8))]


def test_command_on_record_is_what_decides_the_results_and_names_no_folder() -> None:
    given = "--setting tiny --output there --arms 'replay 8%,lora' --jobs 2 --docs --log --quick"
    assert command("methods", [*shlex.split(given), "--output=x"]) == (
        "python -m benchmarks.methods --setting tiny --arms 'replay 8%,lora' --quick"
    )


# What runs cost


def test_clock_counts_all_of_a_stage_but_loading_and_scoring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    for name in ("process_time", "perf_counter"):
        monkeypatch.setattr(f"forgetless.comparing.clock.time.{name}", lambda: now)
    clock = CostClock()
    events: list[tuple[float, str, tuple[Any, ...]]] = [
        (1, "stage", ("run", "1-a", 1, 2)),
        (3, "working", ("loading the model",)),
        (10, "working", ("tokenising",)),
        (11, "trained", (1, 2, 0.5)),
        (14, "trained", (2, 2, 0.4)),
        (15, "working", ("saving the model",)),
        (17, "working", (LEARNING,)),
        (22, "scored", ("a", 0, 1)),
        (30, "scored", ("a", 1, 1)),
        (31, "stage", ("run", "2-b", 2, 2)),
    ]
    for now, event, arguments in events:  # noqa: B007 - the clock reads it
        getattr(clock, event)(*arguments)
    assert clock.total("1-a") == (12.0, 12.0)  # from 10 to 22
    assert clock.total("1-a", LEARNING) == (5.0, 5.0)
    assert clock.total("2-b") == (0, 0)


def test_what_was_measured_survives_the_way_through_a_file() -> None:
    before = measured(0.5, 1.0, cpu=3.0, memory=12.5)
    after = Measured.from_json(json.loads(json.dumps(before.to_json())))
    assert after.report is not None
    assert after.report.values == matrix(0.5, 1.0).values
    assert (after.stages, after.peak_memory_mb) == (before.stages, 12.5)
    broken = Measured(failed="became nan")
    assert Measured.from_json(json.loads(json.dumps(broken.to_json()))) == broken


def test_run_is_carried_out_once_and_shares_a_stage_with_its_cost(
    data: Path, tmp_path: Path
) -> None:
    plan = settings(data, tmp_path)
    del plan["output"]
    giver = Job("plain", plan, donor=True)
    methods = {**plan, "methods": ["replay"]}
    taker = Job("rehearsed", methods, shares=("plain",), split_items=True)
    for job, fresh in ((giver, True), (taker, False)):
        execute(job, tmp_path, fresh=fresh)
    plain, rehearsed = finished(giver, tmp_path), finished(taker, tmp_path)
    assert plain is not None
    assert rehearsed is not None
    assert plain.peak_memory_mb is not None
    assert plain.peak_memory_mb >= 0
    assert rehearsed.peak_memory_mb is None
    manifest = json.loads((tmp_path / "rehearsed" / "manifest.json").read_text())
    assert [stage["shared_from"] for stage in manifest["stages"]] == ["plain", "plain", None]
    assert rehearsed.stages[0].cpu_seconds == plain.stages[0].cpu_seconds > 0
    assert rehearsed.stages[1].replay_share > 0 == plain.stages[1].replay_share
    assert plain.search is not None
    assert rehearsed.search is not None
    assert plain.search.item_count("choices") == 6
    assert rehearsed.search.item_count("choices") == 3
    for stage in plain.stages:
        assert stage.cpu_seconds > stage.training_cpu_seconds > 0
    weights = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.safetensors")}
    stages = ("1-first", "2-second")
    assert weights == {f"plain/stages/{stage}/model/model.safetensors" for stage in stages}
    twin = Job("twin", plan, shares=("plain",))
    execute(twin, tmp_path, fresh=True)
    copied = finished(twin, tmp_path)
    assert copied is not None
    assert (copied.stages, copied.peak_memory_mb) == (plain.stages, None)
    before = (tmp_path / "plain" / MEASURED).stat().st_mtime_ns
    execute(giver, tmp_path, fresh=False)
    assert (tmp_path / "plain" / MEASURED).stat().st_mtime_ns == before
    assert finished(Job("plain", {**plan, "methods": ["lora"]}), tmp_path) is None


def test_run_whose_training_breaks_is_kept_as_a_failure_with_its_reason(
    data: Path, tmp_path: Path
) -> None:
    plan = settings(data, tmp_path, training={"learning_rate": 1e30})
    del plan["output"]
    job = Job("broken", plan)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "left by a kill").touch()  # such a run is begun anew
    execute(job, tmp_path, fresh=False)
    found = finished(job, tmp_path)
    assert found is not None
    assert found.failed is not None
    assert "became nan" in found.failed or "became inf" in found.failed
    assert found.report is None


def test_overhead_is_the_ratio_to_the_peer_of_the_same_turn() -> None:
    def run(stage: float, steps: float, memory: float) -> Measured:
        first = StageCost(100.0, 100.0, 100.0, 0.0)
        return Measured(None, None, (first, StageCost(stage, stage, steps, 0.0)), memory)

    ours = [run(12, 10, 300), run(33, 30, 330), run(22, 22, 300)]
    theirs = [run(10, 10, 300), run(30, 20, 300), run(20, 20, 100)]
    found = overhead.relative(ours, theirs)
    assert found["stage"] == [1.1, 1.1, 1.2]
    assert found["training"] == [1.0, 1.1, 1.5]
    assert found["memory"] == [1.0, 1.1, 3.0]
    broken = overhead.relative([Measured(failed="became nan")], theirs[:1])
    assert broken["stage"] is None
    assert broken["runs"] == [{"failed": "became nan"}]


def test_turns_go_forth_and_back_and_peers_are_left_out_of_the_rows() -> None:
    orders: list[list[str]] = []

    def run(arms: Sequence[Arm], turn: int) -> dict[str, Measured]:
        orders.append([arm.name for arm in arms])
        return {arm.name: measured(1, 1, cpu=2.0 if arm.name == "ewc" else 1.0) for arm in arms}

    rows = overhead.measure([PLAIN, Arm("ewc", {"ewc": {}})], 2, run)
    assert orders == [[SEQUENTIAL, "ewc"], ["ewc", SEQUENTIAL]]
    assert [(row["arm"], row["peer"], row["stage"]) for row in rows] == [
        ("ewc", SEQUENTIAL, [2.0, 2.0, 2.0])
    ]


# The tables and the page


def results() -> dict[str, Any]:
    """Two arms over two seeds, as a results file has them."""

    def runs(*average: float) -> list[dict[str, Any]]:
        return [
            {
                "seed": seed,
                "final": {"a": value, "b": 1.0},
                "average_accuracy": value,
                "learning_accuracy": 1.0,
                "forgetting": None,
                "gap_closed": value - 0.5,
                "cost": 1.25,
                "memory": None,
                "replay_share": 0.08,
            }
            for seed, value in enumerate(average)
        ]

    def arm(name: str, group: str, average: tuple[float, float], **more: Any) -> dict[str, Any]:
        about = {"arm": name, "group": group, "rate": 1e-3, "tuned": {}, "searched": []}
        return {**about, "needs_old_rows": False, "runs": runs(*average), **more}

    return {
        "setting": "tiny",
        "arms": [
            arm("kl", "distillation", (0.25, 0.5), tuned={"kl.strength": 4.0}),
            arm("replay 8%", "rehearsal", (0.5, 1.0), needs_old_rows=True),
        ],
    }


def test_table_has_means_and_deviations_in_the_order_of_the_groups() -> None:
    assert tables.comparison(results()).markdown().splitlines() == [
        "| methods | old rows | a | b | average | learned | forgetting | gap closed | cost "
        "| rate, options |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| replay 8% | 8% | 0.75 ± 0.35 | 1.00 ± 0.00 | 0.75 ± 0.35 | 1.00 ± 0.00 | – "
        "| 0.25 ± 0.35 | 1.25× | 0.001 |",
        "| kl | none | 0.38 ± 0.18 | 1.00 ± 0.00 | 0.38 ± 0.18 | 1.00 ± 0.00 | – "
        "| −0.12 ± 0.18 | 1.25× | 0.001, strength 4 |",
    ]


def test_headline_names_the_best_with_few_old_rows_and_without_any() -> None:
    assert tables.headline(results()) == (
        "With at most 8% of old tokens, `replay 8%` ends best: average 0.75, 25% of the gap to "
        "joint training. Without old rows, `kl` ends best: average 0.38, −12% of the gap to joint "
        "training."
    )


def test_terminal_shows_the_cells_of_the_document() -> None:
    from io import StringIO

    from rich.console import Console

    shown = StringIO()
    table = tables.comparison(results())
    Console(file=shown, width=200).print(table.rich("tiny"))
    assert all(cell in shown.getvalue() for row in table.rows for cell in row)


def test_overheads_show_median_range_and_what_is_wanted() -> None:
    row = {"arm": "lora + kl", "peer": LORA, "wanted": [1.35, 1.1], "runs": []}
    ratios = {"stage": [1.2, 1.25, 1.5], "training": [1.0, 1.0, 1.0], "memory": None}
    found = tables.overheads({"arms": [row | ratios]}).rows
    assert found == [["lora + kl", LORA, "1.25× (1.20 to 1.50)", "1.00×", "–", "1.35× / 1.1×"]]


def test_page_of_the_methods_is_what_code_and_results_say() -> None:
    written = page.PAGE.read_text(encoding="utf-8")
    assert written == page.page(written), "run: python -m benchmarks.comparison.page"


def test_page_takes_its_tables_from_the_results_and_keeps_its_own_text(tmp_path: Path) -> None:
    kept = results() | {
        "date": "2026-11-23",
        "command": "measure",
        "machine": "2 cores",
        "device": "cpu",
        "threads": 1,
        "versions": {"torch": "2"},
        "seeds": [0, 1],
    }
    (tmp_path / "tiny.json").write_text(json.dumps(kept), encoding="utf-8")
    parts = [
        f"<!-- {name}: begin -->\nold\n<!-- {name}: end -->\n"
        for name in ("groups", *page.SETTINGS)
    ]
    found = page.page("Mine.\n".join(parts), tmp_path)
    assert tables.comparison(kept).markdown() in found
    assert "2026-11-23, `measure`: mean ± standard deviation over 2 seeds." in found
    assert found.count("Mine.") == len(parts) - 1
    assert found.count("Not measured yet.") == len(page.SETTINGS) - 1
    assert "old\n" not in found
    assert page.page(found, tmp_path) == found
    with pytest.raises(ValueError, match="groups: begin"):
        page.page("no markers", tmp_path)
