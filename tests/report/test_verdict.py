"""The verdict is true in every case: it claims no more than the intervals bear out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from forgetless.report import Verdict, analyse, reach_verdict, read_run
from forgetless.report.tone import Tone

from .fake_runs import FakeTask, write_run


@dataclass(frozen=True)
class Case:
    """Arms by label, and what the verdict on them must say."""

    name: str
    arms: Mapping[str, Sequence[FakeTask]]
    tone: Tone
    first: Sequence[str]
    second: Sequence[str]
    silent: Sequence[str] = ()
    done: int | None = None


def law(*scores: float | None, items: int = 100, errors: Mapping[int, int] | None = None,
        swaps: int = 0) -> FakeTask:  # fmt: skip
    return FakeTask("law", scores, 1, items=items, errors=errors or {}, swaps=swaps)


def tax(*scores: float | None, items: int = 100) -> FakeTask:
    return FakeTask("tax", scores, 2, items=items)


def general(*scores: float | None, items: int = 100) -> FakeTask:
    return FakeTask("general", scores, items=items)


def guessed(*scores: float | None) -> FakeTask:
    return FakeTask("quiz", scores, choices=4)


LOST = [law(0.06, 0.78, 0.0), tax(0.1, 0.12, 0.63)]
KEPT = [law(0.1, 0.8, 0.8), tax(0.1, 0.1, 0.6)]

CASES = [
    Case(
        "a guessed task that fell for certain",
        {"sequential": [law(0.06, 0.78, 0.78), tax(0.1, 0.12, 0.63), guessed(0.35, 0.35, 0.1)]},
        "inconclusive",
        [
            "Trained plainly, the model lost nothing for certain that it had known, but quiz, "
            "which may have been guessed before, fell by more than chance explains: 0.35 before "
            "any training, 0.10 at the end (forgetting 0.25"
        ],
        [],
        silent=("too small",),
    ),
    Case(
        "unanswered items that could hide a loss",
        {"sequential": [law(0.0, 1.0, 1.0, items=1000, errors={2: 60}), tax(0.1, 0.12, 0.63)]},
        "inconclusive",
        [
            "Trained plainly, the model shows no loss, but 60 items of law without an answer could "
            "hide one"
        ],
        [],
        silent=("too small",),
    ),
    Case(
        "one task not learned, one guessed before, one learned last",
        {
            "sequential": [
                FakeTask("law", [0.5, 0.5, 0.5, 0.5], 1, items=400),
                FakeTask("quiz", [0.2, 0.2, 0.35, 0.35], 2, choices=4),
                FakeTask("tax", [0.0, 0.0, 0.0, 0.9], 3),
            ]
        },
        "unknown",
        ["What was lost cannot be told: quiz: 0.35 before, where guessing scores 0.25"],
        [],
        silent=("taught nothing",),
    ),
    Case(
        "one task not learned, one learned last",
        {"sequential": [law(0.5, 0.5, 0.5, items=400), tax(0.0, 0.0, 0.9)]},
        "unknown",
        ["What was lost cannot be told: of law nothing was learned that could be lost."],
        ["Mind that law was not measurably learned: law scored 0.50 before its stage and 0.50 "],
    ),
    Case(
        "a guessed task beside one learned last",
        {"sequential": [FakeTask("law", [0.06, 0.78], 1), guessed(0.25, 0.2)]},
        "unknown",
        ["What was lost cannot be told: quiz: 0.25 before, where guessing scores 0.25"],
        [],
    ),
    Case(
        "a task that may have been guessed is told apart from those that were kept",
        {"sequential": [law(0.06, 0.78, 0.78), tax(0.1, 0.12, 0.63), guessed(0.25, 0.25, 0.2)]},
        "kept",
        ["forgot nothing measurable; the most on law", "; quiz had too little to lose to show it."],
        [],
    ),
    Case(
        "nothing but a task that may have been guessed",
        {"sequential": [guessed(0.25, 0.2), law(0.06, 0.78)]},
        "unknown",
        [
            "What was lost cannot be told: quiz: 0.25 before, where guessing scores 0.25: on "
            "100 items too near to it to be sure that anything was known"
        ],
        [],
    ),
    Case(
        "lost almost entirely, and replay keeps it",
        {"sequential": LOST, "replay": [law(0.06, 0.78, 0.75), tax(0.1, 0.12, 0.63)]},
        "lost",
        [
            "Trained plainly, the model lost law almost entirely: 0.78 right after learning it, "
            "0.00 at the end (forgetting 0.78, 95% interval 0.6"
        ],
        ["With replay it still scored 0.75 there at the end", "tax", "(0.63 against 0.63)"],
    ),
    Case(
        "a method that keeps the old and holds back the new",
        {"sequential": LOST, "replay": [law(0.06, 0.78, 0.75), tax(0.1, 0.12, 0.2)]},
        "lost",
        [],
        ["but tax was learned less well (0.20 against 0.63)"],
    ),
    Case(
        "a method that keeps the old and learns the new better",
        {"sequential": LOST, "replay": [law(0.06, 0.78, 0.75), tax(0.1, 0.12, 0.95)]},
        "lost",
        [],
        ["and tax was learned better (0.95 against 0.63)"],
    ),
    Case(
        "a method that keeps a part, which is still a loss",
        {"sequential": LOST, "ewc": [law(0.06, 0.78, 0.4), tax(0.1, 0.12, 0.63)]},
        "lost",
        [],
        ["With ewc it still scored 0.40 there at the end, itself a loss of 0.38"],
    ),
    Case(
        "a method that saves one task and loses another",
        {
            "sequential": [*LOST, general(0.8, 0.8, 0.2)],
            "replay": [law(0.06, 0.78, 0.75), tax(0.1, 0.12, 0.6), general(0.8, 0.8, 0.5)],
        },
        "lost",
        ["it also lost from general (0.60)"],
        ["it, too, lost from general (0.30)"],
    ),
    Case(
        "a method that makes no difference",
        {"sequential": LOST, "ewc": [law(0.06, 0.78, 0.02), tax(0.1, 0.12, 0.63)]},
        "lost",
        [],
        ["With ewc it ended there at 0.02 against 0.00, a difference within the noise."],
        silent=["still scored"],
    ),
    Case(
        "a method that makes it worse",
        {"sequential": [law(0, 0.9, 0.6), tax(0, 0, 1)], "ewc": [law(0, 0.9, 0.2), tax(0, 0, 1)]},
        "lost",
        ["lost part of law"],
        ["With ewc it ended there at 0.20 against 0.60, which is worse than no protection."],
    ),
    Case(
        "of several methods the best is told with the rest beside it",
        {
            "sequential": LOST,
            "ewc": [law(0.06, 0.78, 0.3), tax(0.1, 0.12, 0.63)],
            "replay": [law(0.06, 0.78, 0.7), tax(0.1, 0.12, 0.63)],
        },
        "lost",
        [],
        ["With replay it still scored 0.70 there at the end (ewc 0.30)"],
    ),
    Case(
        "lost in part, one run only",
        {"sequential": [law(0.0, 0.8, 0.5), tax(0, 0, 0.9)]},
        "lost",
        ["the model lost part of law: 0.80 right after learning it, 0.50 at the end"],
        [
            "It learned law (0.80) and tax (0.90); no other run stands beside this one, so it "
            "cannot say what would help."
        ],
    ),
    Case(
        "lost for the most part",
        {"sequential": [law(0.1, 0.9, 0.4), tax(0, 0, 0.9)]},
        "lost",
        ["the model lost most of law"],
        [],
    ),
    Case(
        "knowledge lost that was never trained",
        {"sequential": [tax(0, 0, 0.9), general(0.8, 0.8, 0.5), law(0, 0.9, 0.9)]},
        "lost",
        ["the model lost part of general: 0.80 before any training, 0.50 at the end"],
        [],
    ),
    Case(
        "nothing forgotten, so a comparison shows nothing",
        {"sequential": KEPT, "replay": KEPT},
        "kept",
        ["Trained plainly, the model forgot nothing measurable", "0.80 right after learning it"],
        ["So this comparison shows nothing: where plain training forgets nothing measurable"],
        silent=["With replay"],
    ),
    Case(
        "nothing forgotten, but a protection does harm",
        {"sequential": KEPT, "ewc": [law(0.1, 0.8, 0.3), tax(0.1, 0.1, 0.6)]},
        "kept",
        ["forgot nothing measurable"],
        ["With ewc the model did lose most of law: 0.80 right after learning it, 0.30 at the end"],
    ),
    Case(
        "nothing forgotten, one run only",
        {"replay": KEPT},
        "kept",
        ["With replay the model forgot nothing measurable"],
        ["cannot say whether any protection is needed"],
    ),
    Case(
        "too few items to tell",
        {"sequential": [law(0, 0.8, 0.7, items=10), tax(0, 0, 1)]},
        "inconclusive",
        [
            "shows no certain loss, but the test is too small to rule one out on law: "
            "0.80 right after learning it, 0.70 at the end",
            "items would decide",
        ],
        ["no other run stands beside this one"],
        silent=["forgot nothing", "lost"],
    ),
    Case(
        "a run that was asked something else",
        {
            "sequential": LOST,
            "replay": [replace(law(0.06, 0.78, 0.78), question="Copy {i}."), LOST[1]],
        },
        "lost",
        [],
        [
            "With replay it ended there at 0.78 against 0.00, but how they compare is not known: ",
            "(the first: it asks something else in replay).",
        ],
        silent=["noise"],
    ),
    Case(
        "too few items to tell, and to compare",
        {
            "sequential": [law(0, 0.8, 0.7, items=10), tax(0, 0, 1)],
            "replay": [law(0, 0.8, 0.8, items=10), tax(0, 0, 1)],
        },
        "inconclusive",
        [],
        ["With replay it ended there at 0.80 against 0.70, a difference within the noise."],
    ),
    Case(
        "too few items to tell a loss, but enough to tell that a method is better",
        {
            "sequential": [law(0, 0.8, 0.7, items=20), tax(0, 0, 1)],
            "replay": [law(0, 0.8, 1.0, items=20), tax(0, 0, 1)],
        },
        "inconclusive",
        [],
        ["still scored 1.00 there at the end against 0.70, more than the noise explains"],
    ),
    Case(
        "the same number of right answers, but others",
        {"sequential": [law(0, 0.5, 0.5, swaps=20), tax(0, 0, 1)]},
        "inconclusive",
        ["0.50 right after learning it, 0.50 at the end (forgetting 0.00"],
        [],
    ),
    Case(
        "improved by what came later",
        {
            "sequential": [law(0.0, 0.5, 0.9), tax(0, 0, 1)],
            "replay": [law(0, 0.5, 0.9), tax(0, 0, 1)],
        },
        "improved",
        ["forgot nothing measurable and improved on law: 0.50 right after learning it, 0.90 at"],
        ["this comparison shows nothing"],
    ),
    Case(
        "training taught nothing",
        {"sequential": [law(0.3, 0.3, 0.3), tax(0.2, 0.2, 0.2)]},
        "not learned",
        [
            "Training taught nothing measurable: law scored 0.30 before its stage and 0.30 after",
            ", 100 items)",
        ],
        ["nothing could be forgotten either"],
        silent=["forgot nothing"],
    ),
    Case(
        "training taught nothing, in a comparison",
        {"sequential": [law(0.3, 0.3, 0.3), tax(0.2, 0.2, 0.2)],
         "replay": [law(0.3, 0.3, 0.3), tax(0.2, 0.2, 0.2)]},
        "not learned",
        [],
        ["this comparison shows nothing"],
    ),
    Case(
        "one task was never learned, one run only",
        {"sequential": [law(0.0, 0.9, 0.1), tax(0.2, 0.2, 0.2)]},
        "lost",
        ["lost most of law"],
        ["Mind that tax was not measurably learned: tax scored 0.20 before its stage and 0.20"],
    ),
    Case(
        "one task was never learned, nothing forgotten",
        {"sequential": [law(0.3, 0.3, 0.3), tax(0.1, 0.1, 0.9), general(0.8, 0.8, 0.8)],
         "replay": [law(0.3, 0.3, 0.3), tax(0.1, 0.1, 0.9), general(0.8, 0.8, 0.8)]},
        "kept",
        ["the most on general"],
        ["Mind that law was not measurably learned", "this comparison shows nothing"],
        silent=["most on law"],
    ),
    Case(
        "neither run taught the newest task",
        {"sequential": [law(0.0, 0.9, 0.0), tax(0.2, 0.2, 0.2)],
         "replay": [law(0.0, 0.9, 0.9), tax(0.2, 0.2, 0.2)]},
        "lost",
        [],
        ["though neither run taught tax (0.20 against 0.20)"],
        silent=["learned as well"],
    ),
    Case(
        "crashed items are named where they count",
        {"sequential": [law(0.0, 1.0, 0.5, errors={2: 12}), tax(0, 0, 1)]},
        "lost",
        ["12 of 100 items left out as not always scored"],
        [],
    ),
    Case(
        "everything crashed at the end",
        {"sequential": [law(0.0, 1.0, 0.5, errors={2: 100}), tax(0, 0, 1)]},
        "unknown",
        ["What was lost cannot be told: task 'law'", "CUDA out of memory"],
        ["What was learned so far"],
        silent=["forgot nothing"],
    ),
    Case(
        "everything crashed at the end, beside another run",
        {"sequential": [law(0.0, 1.0, 0.5, errors={2: 100}), tax(0, 0, 1)],
         "replay": [law(0.0, 1.0, 1.0), tax(0, 0, 1)]},
        "unknown",
        ["What was lost cannot be told"],
        ["Nor can replay be compared with it."],
    ),
    Case(
        "what stages taught cannot be told where the score before them is missing",
        {"sequential": [
            law(0.0, 0.9, 0.9, errors={0: 100}),
            FakeTask("tax", (0.0, 0.0, 0.9), 2, errors={1: 100}, items=100),
        ]},
        "kept",
        ["forgot nothing measurable"],
        ["What was learned could not be measured; no other run stands beside this one"],
        silent=["Nothing was trained"],
    ),
    Case(
        "one task was not measured at the end",
        {"sequential": [law(0.0, 0.9, None), tax(0, 0, 1), general(0.9, 0.9, 0.2)]},
        "lost",
        ["lost most of general", "what became of law was not measured"],
        [],
    ),
    Case(
        "a run that is not finished",
        {"sequential": LOST},
        "unknown",
        ["What was lost cannot be told", "stage '2-tax' is not finished"],
        ["What was learned so far: law (0.78)."],
        done=2,
    ),
    Case(
        "the other run lacks the task that matters",
        {"sequential": LOST, "replay": [law(0.06, 0.78, None), tax(0.1, 0.12, 0.63)]},
        "lost",
        [],
        ["Whether replay helps is not known"],
    ),
    Case(
        "two protections without plain training beside them",
        {"ewc": LOST, "replay": [law(0.06, 0.78, 0.75), tax(0.1, 0.12, 0.63)]},
        "lost",
        ["With ewc the model lost law almost entirely"],
        ["against 0.00, but without a plain sequential run beside them"],
    ),
    Case(
        "plain training beside its upper bound",
        {
            "sequential": LOST,
            "joint": [FakeTask("law", [0.06, 0.8], 1), FakeTask("tax", [0.1, 0.7], 1)],
        },
        "lost",
        ["lost law almost entirely"],
        ["Trained on all tasks at once it ends at 0.80 there", "no protection stands beside it"],
    ),
    Case(
        "joint training alone is a bound",
        {"joint": [FakeTask("law", [0.1, 0.8], 1), general(0.8, 0.8)]},
        "kept",
        ["Trained on all tasks at once, the model forgot nothing measurable"],
        ["it is a bound, not a sequence"],
    ),
    Case(
        "log-likelihoods keep their unit and rank behind accuracies",
        {"sequential": [
            FakeTask("prose", [-3.0, -1.0, -2.5], 1, items=88, unit="nats"),
            FakeTask("law", [0.1, 0.9, 0.6], 1),
            FakeTask("tax", [0.1, 0.1, 0.9], 2),
        ]},
        "lost",
        ["lost part of law", "it also lost from prose (1.50 nats per token)"],
        [],
    ),
    Case(
        "a log-likelihood alone",
        {"sequential": [FakeTask("prose", [-3.0, -1.0, -2.5], 1, items=88, unit="nats"),
                        FakeTask("tax", [0.1, 0.1, 0.9], 2)]},
        "lost",
        ["−1.00 right after learning it, −2.50 nats per token at the end"],
        [],
    ),
]  # fmt: skip


def verdict_on(folder: Path, case: Case) -> Verdict:
    runs = []
    for label, tasks in case.arms.items():
        stages = None
        if label == "joint":
            stages = ["base", "joint"]
        elif len(tasks[0].scores) == 3:
            stages = ["base", "law", "tax"]
        runs.append(
            read_run(write_run(folder / label, tasks, label=label, stages=stages, done=case.done))
        )
    return reach_verdict(analyse(runs, draws=500))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_says(tmp_path: Path, case: Case) -> None:
    verdict = verdict_on(tmp_path, case)
    assert verdict.tone == case.tone, verdict
    for part in case.first:
        assert part in verdict.sentences[0]
    for part in case.second:
        assert part in verdict.sentences[1]
    for part in case.silent:
        assert part not in str(verdict)
    check_two_sentences(verdict)


def check_two_sentences(verdict: Verdict) -> None:
    for sentence in verdict.sentences:
        assert sentence.endswith(".")
        assert not sentence.endswith("..")
        assert sentence[0].isupper()
        assert ". " not in sentence
        assert "None" not in sentence
        assert "nan" not in sentence.split()


def test_a_later_task_may_be_learned_as_well_when_the_interval_is_narrow(tmp_path: Path) -> None:
    many = [law(0.0, 0.9, 0.9, items=400), tax(0.1, 0.1, 0.8, items=400)]
    plain = [law(0.0, 0.9, 0.1, items=400), tax(0.1, 0.1, 0.8, items=400)]
    case = Case("", {"sequential": plain, "replay": many}, "lost", [], [])
    assert "while tax was learned as well (0.80 against 0.80)" in str(verdict_on(tmp_path, case))


def test_arms_of_one_label_are_told_apart_by_their_names(tmp_path: Path) -> None:
    runs = [
        read_run(write_run(tmp_path / name, tasks, label="replay"))
        for name, tasks in (("a", LOST), ("b", KEPT))
    ]
    assert "With replay (b)" in str(reach_verdict(analyse(runs)))
