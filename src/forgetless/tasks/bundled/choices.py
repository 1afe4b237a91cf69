"""Graded questions laid out as test items: levels in turn, right choices in every place alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from forgetless.tasks.row import Row, Turn

PLACES = 4


@dataclass(frozen=True)
class Question:
    """One question with a computed answer.

    Attributes:
        prompt: What is asked.
        answer: The right answer.
        wrong: Three wrong answers; empty for a question that is answered freely.
        group: Questions of one group (a passage, a fact) are not independent of each other.
    """

    prompt: str
    answer: str
    wrong: tuple[str, ...] = ()
    group: str = ""


def distinct(draw: Callable[[], Question], count: int) -> list[Question]:
    """Draw until there are so many questions with prompts of their own."""
    drawn: dict[str, Question] = {}
    while len(drawn) < count:
        question = draw()
        drawn.setdefault(question.prompt, question)
    return list(drawn.values())


def laid_out(levels: Mapping[int, Sequence[Question]], rng: random.Random) -> list[Row]:
    """Questions as rows ``level1/1``, ``level2/1``, ...: any first part holds all levels alike.

    In every four questions of a level the right choice stands once in each place.
    """
    columns = [_placed(level, questions, rng) for level, questions in levels.items()]
    longest = max(map(len, columns))
    return [column[turn] for turn in range(longest) for column in columns if turn < len(column)]


def _placed(level: int, questions: Sequence[Question], rng: random.Random) -> list[Row]:
    rows = []
    places: list[int] = []
    for number, question in enumerate(questions, start=1):
        places = places or rng.sample(range(PLACES), PLACES)
        choices: list[str] = []
        if question.wrong:
            choices = rng.sample(question.wrong, len(question.wrong))
            choices.insert(places.pop(), question.answer)
        rows.append(
            Row(
                id=f"level{level}/{number}",
                prompt=(Turn("user", question.prompt),),
                answer=question.answer,
                choices=tuple(choices),
                group=question.group,
            )
        )
    return rows


def near(answer: int, step: int, rng: random.Random, least: int = 0) -> tuple[str, ...]:
    """Three wrong numbers around the right one, which is in any rank equally often.

    Args:
        answer: The right number.
        step: Distance between neighbours.
        rng: Decides the rank.
        least: No number is smaller than this.
    """
    below = min(rng.randrange(PLACES), (answer - least) // step)
    numbers = (answer + step * offset for offset in range(-below, PLACES - below))
    return tuple(str(number) for number in numbers if number != answer)
