"""Results of other tools that are damaged, or of later versions."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_inputs.case import Case, Content, endless
from tests.exchange.build import DATA, change_json, only

AGAIN = "copy it again, or run the evaluation again"
RESULTS, SAMPLES = "results_*.json", "samples_toy_colours_*.jsonl"

Change = Callable[[Path], object]


def put(pattern: str, content: Content) -> Change:
    """Something else where a file was."""

    def change(folder: Path) -> None:
        file = only(folder, pattern)
        Case("", "", "", files={file.name: content}).build(file.parent)

    return change


def told(**values: Any) -> Change:
    """Other values in the results; ``__`` is a dash."""
    named = {key.replace("__", "-"): value for key, value in values.items()}
    return lambda folder: change_json(only(folder, RESULTS), lambda found: found.update(named))


def sampled(**values: Any) -> Change:
    """Other values in the first sample."""

    def change(folder: Path) -> None:
        file = only(folder, SAMPLES)
        first, *others = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text(json.dumps(json.loads(first) | values) + "\n" + "".join(others))

    return change


def lm_eval(name: str, change: Change, says: str, fix: str = AGAIN) -> Case:
    """Genuine results before and after, the latter changed."""

    def make(path: Path) -> None:
        for side in ("before", "after"):
            shutil.copytree(DATA / "lm_eval" / side, path / side)
        change(path / "after")

    return Case(f"lm_eval: {name}", "audit r/before r/after --quiet", says, fix, {"r": make})


def inspect(
    name: str, change: Callable[[Any], object] | bytes, says: str, fix: str = AGAIN
) -> Case:
    """A genuine log before and after, the latter changed."""

    def make(path: Path) -> None:
        path.mkdir()
        for side in ("before.json", "after.json"):
            shutil.copy(DATA / "inspect" / "once.json", path / side)
        if callable(change):
            change_json(path / "after.json", change)
        else:
            (path / "after.json").write_bytes(change)

    command = "audit r/before.json r/after.json --quiet"
    return Case(f"inspect: {name}", command, says, fix, {"r": make})


def log(**values: Any) -> Callable[[Any], object]:
    return lambda found: found.update(values)


def evaluation(**values: Any) -> Callable[[Any], object]:
    return lambda found: found["eval"].update(values)


def sample(**values: Any) -> Callable[[Any], object]:
    return lambda found: found["samples"][0].update(values)


LM_EVAL = (
    lm_eval("a pipe as results", put(RESULTS, os.mkfifo), ".json: not a file, needed one"),
    lm_eval("results without end", put(RESULTS, endless), ".json: not a file, needed one"),
    lm_eval("a folder as samples", put(SAMPLES, Path.mkdir), ".jsonl: not a file, needed one"),
    lm_eval("results that are no JSON", put(RESULTS, "no"), ".json:1: not valid JSON: Expecting"),
    lm_eval("results that are a list", put(RESULTS, "[]"), ".json: found list, needed an object"),
    lm_eval("results of nothing", put(RESULTS, "{}"), "configs: no such field, needed dict"),
    lm_eval("results not UTF-8", put(RESULTS, b"\xff"), ".json: not UTF-8 text"),
    lm_eval("results nested without end", put(RESULTS, "[" * 90_000), "nested too deeply"),
    lm_eval("a number of 5,000 digits", put(RESULTS, f'{{"a": {"9" * 5000}}}'), "too many digits"),
    lm_eval("empty samples", put(SAMPLES, ""), ".jsonl: no samples, needed at least one"),
    lm_eval("samples of nothing", put(SAMPLES, "{}\n" * 16), ".jsonl:1: doc_id: no such field"),
    lm_eval("samples that are lists", put(SAMPLES, "[]\n"), ".jsonl:1: found list, needed an obj"),
    lm_eval("a sample nested without end", put(SAMPLES, "[" * 90_000), ".jsonl:1: not valid JSON: n"),
    lm_eval("samples too few", lambda f: only(f, SAMPLES).write_text(
            only(f, SAMPLES).read_text().splitlines(keepends=True)[0]), "1 lines, but results_"),
    lm_eval("configs that are a list", told(configs=[1]), "configs: found list, needed an object"),
    lm_eval("a config that is text", told(configs={"toy_colours": "x"}), "configs.toy_colours: f"),
    lm_eval("counts that are text", told(n__samples="x"), "n-samples: found str, needed an object"),
    lm_eval("a count that is text", told(n__samples={"toy_colours": {"effective": "16"}}),
            "n-samples.toy_colours.effective: found str, needed a whole number"),
    lm_eval("higher_is_better as text", told(higher_is_better={"toy_colours": "x"}),
            "higher_is_better.toy_colours: found str, needed an object"),
    lm_eval("versions that are a number", told(versions=7), "versions: found int, needed an object"),
    lm_eval("settings that are text", told(config="x"), "config: found str, needed an object"),
    lm_eval("a template that is a list", told(chat_template_sha=[1]), "chat_template_sha: found l"),
    lm_eval("a sample's number as text", sampled(doc_id="0"), "doc_id: found str, needed a whole"),
    lm_eval("requests that are a number", sampled(arguments=7), "arguments: found int, needed an o"),
    lm_eval("responses that are text", sampled(filtered_resps="x"), "filtered_resps: found str"),
    lm_eval("metrics that are text", sampled(metrics="acc"), "metrics: found str, needed a list"),
    lm_eval("a filter that is a list", sampled(filter=[]), "filter: found list, needed text"),
)  # fmt: skip
INSPECT = (
    inspect("no JSON", b'"version" "eval" "status"', "after.json:1: not valid JSON"),
    inspect("status that is a list", log(status=[1]), "status: found list, needed text"),
    inspect("a run not finished", log(status="started"), "no finished log", "inspect eval-retry"),
    inspect("eval that is text", log(eval="x"), "eval: found str, needed an object"),
    inspect("plan that is a list", log(plan=[1]), "plan: found list, needed an object"),
    inspect("results that are text", log(results="x"), "results: found str, needed an object"),
    inspect("samples that are text", log(samples="x"), "samples: found str, needed list"),
    inspect("samples that are numbers", log(samples=[1, 2, 3, 4]), "sample 1: found int, needed an"),
    inspect("a task that is a number", evaluation(task=7), "eval.task: found int, needed text"),
    inspect("packages that are a list", evaluation(packages=[1]), "eval.packages: found list"),
    inspect("scorers that are text", evaluation(scorers="x"), "eval.scorers: found str, needed a"),
    inspect("a scorer's name that is a list", evaluation(scorers=[{"name": ["match"]}]),
            "eval.scorers.0.name: found list, needed text"),
    inspect("no date", evaluation(created="soon"), "eval: created: found 'soon', needed a date"),
    inspect("a data set that is text", evaluation(dataset="x"), "eval.dataset: found str, needed"),
    inspect("an id that is a list", sample(id=[1]), "sample 1: id: found list, needed text or"),
    inspect("an epoch that is text", sample(epoch="1"), "sample 1: epoch: found str, needed a wh"),
    inspect("input that is a number", sample(input=7), "sample 1: input: found int, needed text"),
    inspect("choices that are a number", sample(choices=7), "sample 1: choices: found int, needed"),
    inspect("scores that are numbers", sample(scores={"match": 1}), "scores.match: found int"),
    inspect("an error that is text", sample(error="x"), "sample 1: error: found str, needed an"),
    Case("inspect: no archive", "audit bad.eval bad.eval", "bad.eval: cannot be read as a zip",
         AGAIN, {"bad.eval": b"PK\x03\x04nope"}),
    Case("inspect: an empty archive", "audit bad.eval bad.eval", "bad.eval: cannot be read as a",
         AGAIN, {"bad.eval": b""}),
)  # fmt: skip
