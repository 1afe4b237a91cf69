"""Plans that cannot be carried out, and settings typed beside a good one."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bad_inputs.case import Case, Content, endless

DRY = "run plan.yaml --dry-run"
GOOD = "model: ./model\nsequence: [a.jsonl, b.jsonl]\n"
YAML = "plan.yaml: not valid YAML: "
QUOTE = "goes in quotes"


def plan(name: str, text: Content, says: str, fix: str = "") -> Case:
    """A plan file."""
    return Case(f"plan: {name}", DRY, says, fix, {"plan.yaml": text})


def key(text: str, says: str, fix: str = QUOTE) -> Case:
    """A good plan with one more line, the third."""
    return plan(text[:40], GOOD + text + "\n", says, fix)


def setting(override: str, says: str, fix: str = "") -> Case:
    """A key of a good plan replaced on the command line."""
    return Case(f"--set {override[:40]}", (*DRY.split(), "--set", override), says, fix)


def laughs(depth: int) -> str:
    """Aliases of aliases: a few lines that stand for ten to the power of ``depth`` texts."""
    first = f"l0: &l0 [{', '.join(['ha'] * 10)}]\n"
    return first + "".join(
        f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, depth)
    )


PLANS = (
    plan("nothing in it", "", "found nothing, needed a mapping", "forgetless init"),
    plan("a list", "- a\n", "found list \"['a']\", needed a mapping"),
    plan("any bytes", bytes(range(256)), "not UTF-8 text (byte 128)", "save the file as UTF-8"),
    plan("UTF-16", GOOD.encode("utf-16"), "not UTF-8 text (byte 0)", "save the file as UTF-8"),
    plan("a NUL byte", GOOD + "ask: ['\0']\n", YAML + "unacceptable character #x0000", QUOTE),
    plan("an escape sequence", GOOD + "ask: [\x1b]\n", YAML + "unacceptable character", QUOTE),
    plan("a folder", Path.mkdir, "plan.yaml: a folder, needed a plan file"),
    plan("a named pipe", os.mkfifo, "plan.yaml: a pipe or a device, needed a plan file"),
    plan("an endless device", endless, "plan.yaml: a pipe or a device, needed a plan file"),
    plan("a link that leads nowhere", lambda p: p.symlink_to("no"), "no such plan file", "init"),
    plan("a link to itself", lambda p: p.symlink_to(p), "too many levels", "check the path"),
    plan("a huge file", "# " + "x" * 3_000_000, "larger than 1 MB", "name data files"),
    plan("a torn file", "model: m\nsequence: ['b.js", YAML + "line 2: found unexpected end"),
    plan("a tab", "model: m\nsequence:\n\t- a.jsonl\n", YAML + "line 3: found character '\\t'"),
    plan("two documents", GOOD + "---\n" + GOOD, YAML + "line 3: but found another document"),
    plan("an alias of itself", "model: &m {name: *m}\n", YAML + "line 1: found unconstructable"),
    plan("a list in itself", "model: m\nsequence: &s [*s]\n", YAML + "line 2: found unconstruct"),
    plan("an unknown alias", "model: *m\n", YAML + "line 1: found undefined alias 'm'"),
    plan("a billion laughs", laughs(9) + GOOD, YAML + "line 1: its aliases stand for more than"),
    plan("a billion laughs in a known key", laughs(9) + GOOD + "ask: *l8\n", "its aliases stand"),
    plan("lists without end", "a: " + "[" * 9_000 + "]" * 9_000, "nested too deeply to be a plan"),
    plan("mappings without end", "a: " + "{a: " * 9_000, "nested too deeply to be a plan"),
    plan("no model", "sequence: [a.jsonl]\n", "plan.yaml: model: missing", "add  model: ..."),
    plan("no sequence", "model: m\n", "plan.yaml: sequence: missing", "add  sequence: ..."),
    plan("a misspelt key", "modle: m\n", "unknown key 'modle'", "did you mean 'model'?"),
    plan("a date as a name", "model: 2020-01-01\n", "model: found date '2020-01-01': needed"),
    plan("yes as a name", "model: yes\n", "model: found bool 'True': needed a mapping"),
    plan("a set", "model: m\nsequence: !!set {a.jsonl}\n", YAML + "line 2: found !!set"),
    plan("binary", "model: !!binary aGVsbG8=\n", YAML + "line 1: found !!binary", QUOTE),
    plan("a merged text", "<<: text\n" + GOOD, YAML + "line 1: expected a mapping or list of map"),
    plan("the home of nobody", "model: ~nobody-there/x\nsequence: [a.jsonl]\n", "home directory"),
    key("ask: !!python/object/apply:os.system [id]", YAML + "line 3: could not determine"),
    key("? [a]\n: b", YAML + "line 3: found the key ['a'], needed text"),
    key("~: 1", YAML + "line 3: found the key None, needed text"),
    key("model: other", YAML + "line 3: found the key 'model' twice"),
    key("ask: [2020-99-99]", YAML + "line 3: found '2020-99-99', which is no timestamp"),
    key("ask: [!!bool x]", YAML + "line 3: found 'x', which is no bool"),
    key("ask: !!omap x", YAML + "line 3: found !!omap"),
    key('ask: ["\\ud800"]', YAML + "line 3: found half of a surrogate pair"),
    key(f"training: {{seed: {'9' * 5000}}}", YAML + "line 3: found '999", QUOTE),
    key("training: {epochs: 1:99:99}", "training.epochs: found str '1:99:99'", ""),
    key('"\\e[31mred": 1', r"unknown key '\x1b[31mred'", "valid keys"),
    key("'': 1", "unknown key ''", "valid keys"),
)
SETTINGS = (
    setting("training", "--set training: needed KEY=VALUE", "e.g."),
    setting("=1", "--set =1: needed KEY=VALUE", "e.g."),
    setting("training.seed=[", "--set training.seed=[: line 1: expected the node content"),
    setting("training.seed=" + "[" * 9000, "nested too deeply to be a setting"),
    setting("training.seed=*a", "found undefined alias 'a'"),
    setting("model.name.x=1", "model.name is str './model', not a mapping"),
    setting("sequence.9.train=x", "found '9', needed a number from 0 to 1"),
    setting("sequence.-1.train=x", "found '-1', needed a number from 0 to 1"),
    setting(f"sequence.{'9' * 5000}=x", "needed a number from 0 to 1"),
    setting("training.learning_rate=.nan", "found float 'nan': input should be a finite number"),
    setting("training.learning_rate=1e400", "found str '1e400': input should be a finite number"),
    setting("training.learning_rate=-1", "found int '-1': input should be greater than 0"),
    setting("training.epochs=1e18", "more than 10,000 passes over the 117 rows", "lower"),
    setting("training.steps=99999999999", "more than 10,000 passes over the 117 rows", "lower"),
    setting(f"training.batch_size={10**22}", "training.batch_size: found too large a number"),
    setting("training.batch_size=1.5", "training.batch_size: found float '1.5'"),
    setting("training.batch_size=true", "training.batch_size: found true, needed a number"),
    setting("training.seed=no", "training.seed: found false, needed a number"),
    setting("training.max_length=7", "training.max_length: found int '7'"),
    setting("training=fast", "training: found str 'fast': needed a mapping"),
    setting("training.device=gpu", "input should be 'auto', 'cpu', 'cuda' or 'mps'"),
    setting("sequence.0.name=../../x", "cannot name a folder: use letters, digits"),
    setting("sequence.0.name=..", "'..' cannot name a folder: use letters"),
    setting('sequence.0.name="a\\0b"', r"'a\x00b' cannot name a folder: use letters"),
    setting(f"sequence.0.name={'a' * 300}", "has 300 characters, needed 100 at most"),
    setting("sequence.0.name=ünïcode", "'ünïcode' cannot name a folder: use letters"),
    setting("sequence.0.name=B", "two tasks are named 'b': give one of them a name"),
    setting("sequence.0.train=''", "sequence.0.train: found no name, needed a file"),
    setting("sequence.0.train=none.jsonl", "none.jsonl: no such file", "check the path"),
    setting(f"sequence.0.train={'x' * 5000}", "cannot be used: File name too long"),
    setting("sequence.0.train=/dev/zero", "/dev/zero: a pipe or a device, needed a file"),
    setting("sequence.0.train='hub:../../etc'", "no name of a hub dataset, needed  hub:NAME"),
    setting("sequence.0.train='hub:no/such'", "'no/such', split 'train', cannot be", "network"),
    setting("sequence.0.train='bundled:../x'", "no such bundled task", "there are"),
    setting("sequence.0.fields={prompt: [1]}", "fields.prompt: found list '[1]': needed text"),
    setting("sequence.0.fields={prompt: nope}", "the column 'nope', which is not there", "columns"),
    setting("sequence.0.hold_out=1", "hold_out: found int '1': input should be less than 1"),
    setting("sequence.0.hold_out=1e-9", "task 'a' has no test items", "raise hold_out"),
    setting("sequence.0.hold_out=0.999", "task 'a' has no rows to train on", "lower hold_out"),
    setting("sequence.0.shots=999", "999 worked examples asked for", "lower shots"),
    setting("sequence.0.score=multiple_choice", "its items have no choices", "choose exact_match"),
    setting("methods=[nope]", "there is no method 'nope'", "there are sequential"),
    setting("methods=[replay, replay]", "replay is named twice", "name it once"),
    setting(
        "methods=[joint, replay]",
        "joint and replay cannot be combined",
        "leave joint or replay out",
    ),
    plan(
        "a search on rows that are all tested",
        "model: ./model\nsequence: [{train: a.jsonl, memory: true}, b.jsonl]\n"
        "methods: [{merge: {alpha: search}}]\n",
        "task 'a': of its 130 training rows, 130 teach a test item, and of the others too few",
        "give alpha a number:  merge: {alpha: 0.5}",
    ),
    setting("methods=[[replay]]", "methods.0: found list \"['replay']\": needed a mapping"),
    setting("methods=[{replay: {ratio: .nan}}]", "replay.ratio: found nan: input should be"),
    setting("methods=[{lora: {rank: 99999999999}}]", "lora.rank: found 99999999999: input should"),
    setting("methods=[{lora: {targets: [nope]}}]", "lora cannot be put on Llama", "name modules"),
    *(
        setting(
            f"methods=[{penalty}, {{lora: {{targets: [embed_tokens]}}}}]",
            "embed_tokens: its adapter does not just add a product of two matrices",
            "use plain LoRA on linear layers",
        )
        for penalty in ("ewc", "l2sp")
    ),
    setting(
        "methods=[{lora: {init: eva, targets: [embed_tokens]}}]",
        "targets names a module that is not linear",
        "leave it out",
    ),
    setting(
        "methods=[{lora: {init: pissa, rank: 33}}]",
        "init pissa cannot take rank 33 from a layer",
        "lower  lora: {rank: ...}",
    ),
    setting(
        "methods=[{lora: {init: mica, rank: 33}}]",
        "init mica cannot take rank 33 from a layer",
        "lower  lora: {rank: ...}",
    ),
    setting("budget=200%", "budget.loss: found float '2.0': input should be less than 1"),
    setting("budget={loss: 2%, tasks: {nope: 1%}}", "budget.tasks names 'nope'; the tasks are a"),
    setting("ask=[' ']", "ask: found a question without words, needed text"),
    setting("output=''", "output: found no name, needed a folder"),
)
