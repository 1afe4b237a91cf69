"""Run folders that are damaged or hostile, and commands that are typed wrongly."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_inputs.case import Case, Content, endless
from tests.report.fake_runs import FakeTask, write_run

SCORES = "stages/1-law/scores.jsonl"
CHANGED = "restore it, or run again"
TASKS = [
    FakeTask("law", [0.1, 0.9, 0.5], 1, items=20),
    FakeTask("tax", [0.1, 0.2, 0.9], 2, items=20),
]


def run(path: Path) -> None:
    """A finished run, as good as a real one to its readers."""
    write_run(path, TASKS, label="sequential")


def with_other(name: str, content: Content) -> Callable[[Path], None]:
    """A run with something else where one of its files was."""

    def make(path: Path) -> None:
        run(path)
        if (path / name).is_dir():
            shutil.rmtree(path / name)
        Case("", "", "", files={name: content}).build(path)

    return make


def told(part: str = "", **values: Any) -> Callable[[Path], None]:
    """A run whose manifest says other things; of its first task or its second stage."""

    def make(path: Path) -> None:
        run(path)
        file = path / "manifest.json"
        found = json.loads(file.read_text())
        place = {"": found, "task": found["tasks"][0], "stage": found["stages"][1]}[part]
        place.update(values)
        file.write_text(json.dumps(found))

    return make


def report(name: str, build: Content, says: str, fix: str = CHANGED) -> Case:
    return Case(f"report: {name}", "report bad", says, fix, {"bad": build})


def into(name: str, build: Content, says: str, fix: str) -> Case:
    """A run of the plan into a folder that is there."""
    command = "run plan.yaml --quiet --set output=bad"
    return Case(f"run into {name}", command, says, fix, {"bad": build})


def typed(command: str, says: str, fix: str = "", **files: Content) -> Case:
    named = {name.replace("__", "."): content for name, content in files.items()}
    return Case(command[:70], command, says, fix, named)


RUN_FOLDERS = (
    report("no manifest", Path.mkdir, "found no manifest.json", "forgetless run"),
    report("a pipe as manifest", with_other("manifest.json", os.mkfifo), "no manifest.json", "name"),
    report("no JSON", with_other("manifest.json", "no"), "manifest.json: not valid JSON"),
    report("a list", with_other("manifest.json", "[]"), "found a list, needed an object"),
    report("nested without end", with_other("manifest.json", "[" * 90_000), "nested too deeply"),
    report("not UTF-8", with_other("manifest.json", b"\xff"), "manifest.json:1: not UTF-8 text"),
    report("5,000 digits", with_other("manifest.json", f'{{"a": {"9" * 5000}}}'), "too many digits"),
    report("another format", told(format=9), "'format' is 9, this version reads up to 1", "git pull"),
    report("tasks as text", told(tasks="x"), "'tasks' is the string 'x', needed a list of objects"),
    report("a model as list", told(model=[1]), "'model' is a list, needed an object"),
    report("a seed of 1.5", told(seed=1.5), "'seed' is the number 1.5, needed an integer"),
    report("rows as text", told("task", train_rows="7"), "'train_rows' is the string '7', needed an"),
    report("a stage outside", told("stage", name="../../x"), "'../../x', needed a folder name"),
    report("a stage with a NUL", told("stage", name="a\0b"), r"'a\x00b', needed a folder name"),
    report("a stage with a long name", told("stage", name="a" * 300), "needed a folder name"),
    report("scores gone", with_other(SCORES, Path.mkdir), "scores.jsonl: missing", "forgetless run"),
    report("scores without end", with_other(SCORES, endless), "scores.jsonl: missing", "forgetless"),
    report("scores torn", with_other(SCORES, '{"task": "law"'), "the last line is torn", "continue"),
    report("scores nested", with_other(SCORES, "[" * 90_000 + "\n"), "scores.jsonl:1: not valid JSON"),
    report("scores linked to a secret", with_other(SCORES, lambda p: p.symlink_to("/etc/passwd")),
           "scores.jsonl:1: not valid JSON"),
    report("stages a file", with_other("stages", "x"), "scores.jsonl: missing", "forgetless run"),
    into("another plan's", run, "bad: holds results of another plan", "--set output=runs/other"),
    into("a broken run", with_other("manifest.json", "no"), "bad/manifest.json: damaged", "restore"),
    into("another format", told(format=9), "bad/manifest.json: format 9, needed 1", "runs/other"),
    into("a nested manifest", with_other("manifest.json", "[" * 90_000), "json: damaged", "restore"),
    into("a folder with a locked folder", with_other(".lock", Path.mkdir), ".lock: cannot be opened",
         "delete it"),
    Case("run into a folder of others", "run plan.yaml --quiet --set output=bad",
         "bad: not a run folder, it holds 'x'", "name an empty or new folder", {"bad/x": "y"}),
)  # fmt: skip
COMMANDS = (
    typed("run plan.yaml --quiet --set output=/dev/null/x", "a file stands where", "name another"),
    typed("run plan.yaml --quiet --set output=a.jsonl", "a file stands where", "name another"),
    typed("run plan.yaml --quiet --share-with none", "none: not a run folder", "forgetless run"),
    typed("report none", "none: no such folder", "name a folder under runs/"),
    typed("report a.jsonl", "a.jsonl: no such folder", "name a folder under runs/"),
    typed("report good good", "good: named more than once", "name each run once", good=run),
    typed("report good --to a.jsonl", "a.jsonl: a file stands where", "name another", good=run),
    typed("report good --to /proc/x", "/proc/x: cannot be made", "name another", good=run),
    typed("compare none.yaml", "none.yaml: no such plan file", "forgetless init"),
    typed("compare plan.yaml --methods nope", "there is no method 'nope'", "there are sequential"),
    typed("compare plan.yaml --methods replay(ratio=", "cannot read 'replay(ratio='", "write  name"),
    typed("compare plan.yaml --methods replay(ratio=9)", "replay.ratio: found 9: input should be"),
    typed("compare plan.yaml --methods replay(ratio=*a)", "cannot read the options", "write  replay"),
    typed("compare plan.yaml --rates nan", "needed numbers between 0 and 1", "--rates 1e-4,3e-4"),
    typed("compare plan.yaml --seeds 0", "Invalid value for '--seeds'", "forgetless compare --help"),
    typed("init none.jsonl -o new.yaml", "none.jsonl: no such file", "check the path"),
    typed("init bad.jsonl -o new.yaml", "bad.jsonl:1: no 'completion'", "mend or delete",
          bad__jsonl='{"prompt": "a", "completion": null}\n' * 20),
    typed("init pipe.jsonl -o new.yaml", "pipe.jsonl: a pipe or a device", pipe__jsonl=os.mkfifo),
    typed("init a.jsonl", "plan.yaml: is there already", "name another file"),
    typed("init a.jsonl -o /dev/null/x.yaml", "/dev/null/x.yaml: cannot be written", "name another"),
    typed("init a.jsonl a.jsonl -o new.yaml", "two tasks are named 'a': give one of them a name"),
    typed("audit model", "Missing argument 'after'", "forgetless audit --help"),
    typed("audit model none --task a.jsonl", "none: no such folder or file here", "check the path"),
    typed("audit model a.jsonl --task a.jsonl", "a file that is not a GGUF model", "name the folder"),
    typed("audit model model --task none.jsonl", "none.jsonl: no such file", "check the path"),
    typed("audit model model --task x=", "--task x=: test: found no name, needed a file"),
    typed("audit model model --task ü=a.jsonl", "'ü' cannot name a folder: use letters"),
    typed(f"audit model model --task {'a' * 300}=a.jsonl", "has 300 characters, needed 100 at most"),
    typed("audit model model --task a.jsonl --task a.jsonl", "two tasks are named 'a'", "name one"),
    typed("audit model model --task bundled:nope", "no such bundled task", "there are"),
    typed("audit model model --suite nope", "suite 'nope': there is none", "there are default"),
    typed("audit model model --task a.jsonl --budget 200%", "budget is 2.0: Input should be less"),
    typed("audit model model --task a.jsonl --budget nan", "budget is nan: Input should be a fin"),
    typed("audit model model --task a.jsonl --set x", "--set x: found no '='", "--set KEY=VALUE"),
    typed("audit model model --task a.jsonl --set limit=3", "unknown setting 'limit'", "valid keys"),
    typed("audit model model --task a.jsonl --set device=gpu", "device is 'gpu': Input should be"),
    typed("audit model model --task a.jsonl --limit 0", "Invalid value for '--limit'", "--help"),
    typed("audit model model --task a.jsonl -o a.jsonl", "a file stands where", "name another"),
    typed("audit model model --task a.jsonl -o /dev/null/x", "a file stands where", "name another"),
    typed("audit model openai: --task a.jsonl", "followed by no model's name", "openai:gpt-4o-mini"),
    typed("audit model openai:x --base-url nope --task a.jsonl", "'nope' is not the addr", "http://"),
    typed("repair model model --task a.jsonl --budget x --quiet", "--budget x: needed a share"),
    typed("repair model none --task a.jsonl --quiet", "none: no such folder or file here", "check the path"),
    typed("repair model adapter --task none.jsonl --quiet", "none.jsonl: no such file", "check the path"),
    typed("repair model model --task a.jsonl --quiet", "there is nothing between them", "name"),
    typed("repair model adapter --task few.jsonl --quiet", "needed at least 16", "more test items",
          few__jsonl='{"prompt": "a", "completion": "b"}\n'),
    typed("repair model adapter --task a.jsonl -o a.jsonl --quiet", "a file stands where", "name another"),
    typed("repair model adapter --task a.jsonl --task a.jsonl --quiet", "two tasks are named 'a'", "name one"),
    typed("repair model openai:x --task a.jsonl --quiet", "only the endpoint has the weights", "audited"),
)  # fmt: skip
