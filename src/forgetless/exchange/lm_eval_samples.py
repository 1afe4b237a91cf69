"""Samples of lm-evaluation-harness, from its files or from memory, to item results.

A sample is one item under one filter: what was asked, what came back, and the metrics.  Numbers in
``resps`` and ``filtered_resps`` are strings on disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forgetless.errors import DataError, NotMeasured
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Conditions
from forgetless.exchange.imported import LENIENT, STRICT, ImportedTask, text_hash
from forgetless.exchange.json_files import AGAIN, as_number, part
from forgetless.tasks.twins import with_twins

ACCURACIES = frozenset(
    [
        *("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em", "f1"),
        *("prompt_level_strict_acc", "prompt_level_loose_acc", "pass@1", "math_verify"),
        *("contains", "token_f1", "number", "rules", "judge"),  # of our own exports
    ]
)
"""Metrics known to lie in [0, 1] for every item, higher being better."""

LIKELIHOOD = "log_likelihood"
"""Of our own exports: that of the gold answer, in nats per token."""

OWN = "forgetless"
"""Field of our own exports, where it has something to say: an item's group, level and error."""

STRICT_AND_LOOSE = {"prompt_level_strict_acc": "prompt_level_loose_acc"}
FIELDS = frozenset(
    [
        *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter"),
        *("metrics", "doc_hash", "prompt_hash", "target_hash", OWN),
    ]
)
NOT_A_NUMBER = "the model's likelihood is not a number"

Placed = tuple[str, Mapping[str, Any]]
"""A sample after the place where it stands."""


@dataclass(frozen=True)
class About:
    """What a run says about one of its tasks.

    Attributes:
        conditions: How the run put it to the model.
        output_type: As in the task's config; empty if it is not told.
        higher_is_better: Metric to whether more of it is better, as far as it is told.
        metric: The metric that counts; None for the first that can.
    """

    conditions: Mapping[str, str]
    output_type: str = ""
    higher_is_better: Mapping[str, bool | None] = field(default_factory=dict)
    metric: str | None = None


def imported_task(
    name: str, samples: Sequence[Placed], about: About, failed: Mapping[int, str] | None = None
) -> ImportedTask:
    """The item results of one task.

    Args:
        name: Its name.
        samples: Every sample of it, under every filter.
        about: What the run says about it.
        failed: Number of an item (``doc_id``) to why it could not be asked.

    Raises:
        DataError: for a malformed sample, or an item that stands there twice.
        NotMeasured: if no metric scores single items, with the reason.
    """
    filters = _by_filter(samples)
    strict = STRICT + "-match" if STRICT + "-match" in filters else next(iter(filters))
    counted = filters[strict]
    numbers = {key: sample["doc_id"] for key, (_, sample) in counted.items()}
    errors = _own(counted, "error") | {
        key: failed[number] for key, number in numbers.items() if failed and number in failed
    }
    usable, unusable = _metrics(counted, about, errors)
    metric = _chosen_metric(usable, unusable, about.metric)
    choice_of_gold = _gold_finder(list(counted.values())) if metric in ("acc", "acc_norm") else None
    flexible = next((f for f in filters if f != strict and ("flexible" in f or LENIENT in f)), None)
    lenient = (metric, flexible) if flexible else (STRICT_AND_LOOSE.get(metric), strict)
    items = []
    for key, (place, sample) in counted.items():
        readings = {}
        for other, found in filters.items():
            if key not in found:
                raise DataError(
                    f"{place}: the item is missing under the filter {other!r}", fix=AGAIN
                )
            for measure in usable:
                label = measure if other == strict else f"{measure},{other}"
                if (measure, other) == lenient:
                    label = LENIENT
                value = as_number(found[key][1].get(measure))
                if value is not None and math.isfinite(value):
                    readings[label] = value
        reason = errors.get(key)
        items.append(_item(name, key, sample, metric, readings, choice_of_gold, reason))
    unread = tuple(f"metric {one} is not read: {why}" for one, why in unusable.items())
    prints = {key: _prints(sample) for key, (_, sample) in counted.items()}
    asked = {
        key: text_hash("".join(prints[key].values()))
        for key, (_, sample) in counted.items()
        if arguments(sample)
    }
    parts = {"metric": metric if strict == "none" else f"{metric},{strict}"}
    return ImportedTask(
        name=name,
        unit="nats" if metric == LIKELIHOOD else "accuracy",
        scorer="multiple_choice" if about.output_type == "multiple_choice" else metric,
        items=tuple(items),
        conditions=Conditions({**about.conditions, **parts}),
        prints=prints,
        groups=with_twins(_own(counted, "group"), asked),
        levels=_own(counted, "level"),
        warnings=unread,
    )


def _by_filter(samples: Sequence[Placed]) -> dict[str, dict[str, Placed]]:
    """Filter to item to sample, in the order of the items.

    An item is known by the hash of its content; the second of two with the same content is the
    second in either run.
    """
    found: dict[str, dict[str, Placed]] = {}
    numbers: dict[tuple[str, int], str] = {}
    for place, sample in samples:
        number, name = part(sample, "doc_id", int, place), str(sample.get("filter", "none"))
        if (name, number) in numbers:
            raise DataError(
                f"{place}: item {number} stands in {numbers[name, number]} already", fix=AGAIN
            )
        numbers[name, number] = place
    for place, sample in sorted(samples, key=lambda placed: int(placed[1]["doc_id"])):
        items = found.setdefault(str(sample.get("filter", "none")), {})
        known = key = _hash(sample, "doc")[:16]
        occurrence = 1
        while key in items:
            occurrence += 1
            key = f"{known}#{occurrence}"
        items[key] = (place, sample)
    order = dict.fromkeys(str(sample.get("filter", "none")) for _, sample in samples)
    return {name: found[name] for name in order}


def _hash(sample: Mapping[str, Any], what: str) -> str:
    """The hash that lm_eval wrote, or the same computed where an old version wrote none."""
    if written := sample.get(f"{what}_hash"):
        return str(written)
    if what == "doc":
        return text_hash(json.dumps(sample.get("doc"), indent=2, ensure_ascii=False, default=str))
    if what == "prompt":
        asked = arguments(sample)
        return text_hash(str(asked[0][0]) if asked and asked[0] else "")
    return text_hash(str(sample.get("target")))


def _prints(sample: Mapping[str, Any]) -> dict[str, str]:
    asked = json.dumps(arguments(sample), sort_keys=True, default=str)
    return {
        "prompts": _hash(sample, "prompt"),
        "targets": _hash(sample, "target"),
        "choices or generation settings": text_hash(asked),
    }


def arguments(sample: Mapping[str, Any]) -> list[list[Any]]:
    """What was asked, request by request; newer versions name requests and arguments."""
    asked = sample.get("arguments", [])
    requests = list(asked.values()) if isinstance(asked, Mapping) else list(asked)
    return [list(r.values()) if isinstance(r, Mapping) else list(r) for r in requests]


def _own(samples: Mapping[str, Placed], what: str) -> dict[str, str]:
    """Item to what our own export says of it beside what lm_eval's files hold."""
    told = {key: sample.get(OWN, {}) for key, (_, sample) in samples.items()}
    return {key: found[what] for key, found in told.items() if what in found}


def _metrics(
    samples: Mapping[str, Placed], about: About, failed: Collection[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Metrics that score single items, of all that did not fail, and why the others do not."""
    first = next(iter(samples.values()))[1]
    names = first.get("metrics") or [n for n in first if n not in FIELDS]
    usable, unusable = [], {}
    for name in names:
        if name == "nll":  # of our own exports, and no score
            continue
        raw = [sample.get(name) for key, (_, sample) in samples.items() if key not in failed]
        values = [v for v in map(as_number, raw) if v is not None and math.isfinite(v)]
        if any(as_number(value) is None for value in raw):
            unusable[name] = "it is computed over the whole task, not item by item"
        elif about.higher_is_better.get(name) is False:
            unusable[name] = "lower is better"
        elif name not in ACCURACIES | {LIKELIHOOD, about.metric}:
            unusable[name] = "an unknown metric"
        elif name != LIKELIHOOD and any(not 0 <= value <= 1 for value in values):
            unusable[name] = f"found {max(values, key=abs):g}, needed values in [0, 1]"
        else:
            usable.append(name)
    return tuple(usable), unusable


def _chosen_metric(usable: Sequence[str], unusable: Mapping[str, str], wanted: str | None) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in unusable.items())
    if wanted is not None and wanted not in usable:
        here = unusable.get(wanted, f"not there; there are {', '.join([*usable, *unusable])}")
        raise NotMeasured(f"the metric {wanted}: {here}")
    if not usable:
        raise NotMeasured(f"no metric can be compared item by item ({reasons or 'there is none'})")
    return wanted or usable[0]


def _likelihoods(sample: Mapping[str, Any]) -> list[float] | None:
    """Log-likelihood of each request, in nats; None where texts were generated."""
    found = []
    for response in sample.get("filtered_resps", []):
        if not isinstance(response, Sequence) or isinstance(response, str) or len(response) != 2:
            return None
        try:
            found.append(float(response[0]))
        except (TypeError, ValueError, OverflowError):
            return None
    return found or None


def _choices(sample: Mapping[str, Any]) -> list[str] | None:
    """Texts of the choices: what follows the prompt, or the prompts where only those differ."""
    asked = [request for request in arguments(sample) if len(request) == 2]
    if sample.get("acc_mutual_info") is not None:  # each choice is asked a second time by itself
        asked = asked[: len(asked) // 2]
    if len({str(request[0]) for request in asked}) == 1:
        return [str(request[1]).strip() for request in asked]
    return [str(request[0]) for request in asked] if asked else None


Finder = Callable[[Mapping[str, Any]], int | None]


def _gold_finder(samples: Sequence[Placed]) -> Finder | None:
    """How the target names the right choice: by its number or by its text.

    The metric ``acc`` tells: it must say that the likeliest choice is right exactly where the
    choice so found is.  None where neither fits, as with several right choices, or both do and
    differ.
    """

    def by_number(sample: Mapping[str, Any]) -> int | None:
        target, choices = sample.get("target"), _choices(sample) or []
        text = str(target).strip()
        return int(text) if text.isdecimal() and int(text) < len(choices) else None

    def by_text(sample: Mapping[str, Any]) -> int | None:
        choices, target = _choices(sample) or [], str(sample.get("target")).strip()
        return choices.index(target) if choices.count(target) == 1 else None

    def fits(finder: Finder, sample: Mapping[str, Any]) -> bool:
        gold, likelihoods = finder(sample), _likelihoods(sample)
        if gold is None or likelihoods is None or not all(map(math.isfinite, likelihoods)):
            return likelihoods is not None and gold is not None
        chosen = likelihoods[: len(_choices(sample) or [])]
        return (chosen.index(max(chosen)) == gold) == (as_number(sample.get("acc")) == 1.0)

    fitting = [
        finder
        for finder in (by_number, by_text)
        if all("acc" in sample and fits(finder, sample) for _, sample in samples)
    ]
    golds = {tuple(finder(sample) for _, sample in samples) for finder in fitting}
    return fitting[0] if len(golds) == 1 else None


def _item(
    task: str,
    key: str,
    sample: Mapping[str, Any],
    metric: str,
    readings: dict[str, float],
    choice_of_gold: Finder | None,
    failed: str | None,
) -> ItemResult:
    asked = arguments(sample)
    likelihoods = _likelihoods(sample)
    choices = _choices(sample) if len(asked) > 1 else None
    gold = choice_of_gold(sample) if choice_of_gold and choices else None
    prompt = str(asked[0][0]) if asked and asked[0] else ""
    target = sample.get("target")
    right = choices[gold] if choices and gold is not None else str(target)
    score, error, output, answer = readings.get(metric), failed, None, None
    if likelihoods and not all(map(math.isfinite, likelihoods)):
        error = error or NOT_A_NUMBER
    elif score is None:
        error = error or f"{metric} is not a number"
    if error is not None:
        return ItemResult(task, key, prompt, right, _tuple(choices), error=error)
    if likelihoods and choices:
        norms = [len(c) or 1 if metric == "acc_norm" else 1 for c in choices]
        values = [total / norm for total, norm in zip(likelihoods, norms, strict=False)]
        picked = values.index(max(values))
        output = answer = choices[picked]
        if gold is not None:
            readings["nll"] = -likelihoods[gold]
    elif likelihoods:
        readings["nll"] = -likelihoods[0]
    else:
        readings |= {"nll": nll} if (nll := as_number(sample.get("nll"))) is not None else {}
        output, answer = _text(sample.get("resps")), _text(sample.get("filtered_resps"))
    return ItemResult(
        task=task,
        item=key,
        prompt=prompt,
        gold=right,
        choices=_tuple(choices),
        output=output,
        answer=answer,
        score=score,
        correct=score == 1.0 if score in (0.0, 1.0) else None,
        readings=readings,
    )


def _tuple(choices: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if choices is None else tuple(choices)


def _text(responses: Any) -> str | None:
    """The first text of nested lists of responses."""
    while isinstance(responses, Sequence) and not isinstance(responses, str) and responses:
        responses = responses[0]
    return responses if isinstance(responses, str) else None
