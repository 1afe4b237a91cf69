"""Plan files and plans from Python: what is accepted, what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forgetless.errors import PlanError
from forgetless.methods import METHODS
from forgetless.methods.compose import Compose
from forgetless.plan import (
    Config,
    HostedConfig,
    ModelConfig,
    Plan,
    TaskConfig,
    TrainingConfig,
    load_plan,
    make_part,
    make_plan,
)
from forgetless.plan.paths import anchored

MINIMAL = "model: m\nsequence: [a.jsonl]\n"
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a plan file into a folder of its own."""

    def place(text: str | bytes, name: str = "plan.yaml") -> Path:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return place


def plan(**keys: Any) -> Plan:
    return make_plan({"model": "m", "sequence": ["a.jsonl"]} | keys)


def refusal(**keys: Any) -> PlanError:
    with pytest.raises(PlanError) as caught:
        plan(**keys)
    return caught.value


# Short forms


def test_a_model_may_be_named_by_text_alone() -> None:
    assert plan(model="org/name").model == ModelConfig(name="org/name")


def test_a_task_of_the_sequence_may_be_its_training_source_alone() -> None:
    (task,) = plan(sequence=["data/medical.jsonl"]).sequence
    assert (task.name, task.train, task.test) == ("medical", "data/medical.jsonl", None)


def test_a_test_only_task_may_be_its_test_source_alone() -> None:
    (task,) = plan(test_only=["general.csv"]).test_only
    assert (task.name, task.train, task.test) == ("general", None, "general.csv")


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("replay", {}),
        ({"replay": None}, {}),
        ({"replay": {"ratio": 0.3}}, {"ratio": 0.3}),
        ({"name": "replay", "options": {"ratio": 0.3}}, {"ratio": 0.3}),
    ],
)
def test_a_method_may_be_written_in_four_ways(written: Any, options: dict[str, Any]) -> None:
    (spec,) = plan(methods=[written]).methods
    assert (spec.name, spec.options) == ("replay", options)


def test_a_method_may_stand_alone_and_counts_as_a_list_of_one() -> None:
    alone, listed = plan(methods="replay"), plan(methods=["replay"])
    assert alone.fingerprint() == listed.fingerprint()
    assert alone.to_yaml() == listed.to_yaml()


@pytest.mark.parametrize("key", ["test_only", "methods", "training", "ask"])
def test_a_key_with_nothing_behind_it_counts_as_left_out(key: str) -> None:
    assert plan(**{key: None}) == plan()


def test_paths_may_be_path_objects_in_python() -> None:
    made = plan(
        model=Path("m"),
        sequence=[Path("a.jsonl"), {"train": Path("b.jsonl"), "test": Path("c.jsonl")}],
        test_only=[Path("d.jsonl")],
        output=Path("runs/x"),
    )
    assert made == plan(
        sequence=["a.jsonl", {"train": "b.jsonl", "test": "c.jsonl"}],
        test_only=["d.jsonl"],
        output="runs/x",
    )


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("medical.jsonl", "medical"),
        ("data/law.v2.csv", "law"),
        ("folder/", "folder"),
        ("bundled:legal_prose", "legal_prose"),
        ("hub:org/some-set", "some-set"),
        ("-öl.jsonl", "l"),
        ("???.csv", "task"),
    ],
)
def test_a_task_without_a_name_is_named_after_its_source(source: str, name: str) -> None:
    assert plan(sequence=[source]).sequence[0].name == name


# What is refused


@pytest.mark.parametrize(
    ("keys", "message", "fix"),
    [
        ({"sequnce": []}, "plan: unknown key 'sequnce'", "did you mean 'sequence'?"),
        ({"xyz": 1}, "plan: unknown key 'xyz'", "valid keys: model, sequence, test_only, methods, "
         "budget, training, hosted, ask, output"),
        ({"model": {"name": "m", "dtyp": "auto"}}, "plan: unknown key 'dtyp' in model",
         "did you mean 'dtype'?"),
        ({"sequence": [{"train": "a", "limits": 3}]}, "plan: unknown key 'limits' in sequence.0",
         "did you mean 'limit'?"),
        ({"test_only": [{"tests": "a"}]}, "plan: unknown key 'tests' in test_only.0",
         "did you mean 'test'?"),
        ({"training": {"learning_rte": 1}}, "plan: unknown key 'learning_rte' in training",
         "did you mean 'learning_rate'?"),
        ({"methods": [{"name": "replay", "option": {}}]}, "plan: unknown key 'option' in methods.0",
         "did you mean 'options'?"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_the_nearest_valid_one(
    keys: dict[str, Any], message: str, fix: str
) -> None:
    error = refusal(**keys)
    assert message in error.message.split("\n")
    assert error.fix == fix


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("epochs", "training.epochs"),
        ("dtype", "model.dtype"),
        ("hold_out", "sequence.0.hold_out"),
        ("train", "sequence.0.train"),  # however near  training  is
        ("input", "hosted.prices.input"),
    ],
)
def test_a_key_of_a_part_that_stands_outside_is_refused_with_its_place(
    key: str, place: str
) -> None:
    assert refusal(**{key: 1}).fix == f"did you mean {place!r}?"


@pytest.mark.parametrize(
    ("part", "settings", "fix"),
    [
        (TaskConfig, {"test": "a", "shot": 3}, "did you mean 'shots'?"),
        (ModelConfig, {"name": "m", "revison": "main"}, "did you mean 'revision'?"),
        (HostedConfig, {"prices": {"trainig": 1.0}}, "did you mean 'training'?"),
    ],
)
def test_a_part_alone_is_refused_with_the_nearest_of_its_own_keys(
    part: type[Config], settings: dict[str, Any], fix: str
) -> None:
    with pytest.raises(PlanError) as caught:
        make_part(part, settings, "part")
    assert caught.value.fix == fix


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PlanError, match="there is no method 'replya'") as caught:
        Compose.from_plan(plan(methods=["replya"]).methods)
    assert caught.value.fix == "did you mean 'replay'?"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_an_unknown_option_of_a_method_is_refused_with_the_nearest_or_all(name: str) -> None:
    options = list(METHODS[name].Config.model_fields)
    wrong = options[0] + "x" if options else "strength"
    with pytest.raises(PlanError) as caught:
        Compose.from_plan(plan(methods=[{name: {wrong: 1}}]).methods)
    assert caught.value.message == f"methods: {name} has no option {wrong!r}"
    needed = f"did you mean {options[0]!r}?" if options else "it has no options"
    assert caught.value.fix == needed


def test_a_wrong_option_of_a_method_says_what_was_found_and_needed() -> None:
    with pytest.raises(PlanError) as caught:
        Compose.from_plan(plan(methods=[{"replay": {"ratio": 1.5}}]).methods)
    assert caught.value.message == "methods: replay.ratio: found 1.5: input should be less than 1"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sequence": "a.jsonl"}, "plan: sequence: found str 'a.jsonl': needed a list"),
        ({"sequence": []}, "plan: sequence is empty, needed at least one task"),
        ({"sequence": None}, "plan: sequence: missing"),
        ({"sequence": [3]}, "plan: sequence.0: found int '3': needed a mapping"),
        ({"sequence": [{}]}, "plan: sequence.0: a task needs train, test or both"),
        ({"sequence": [{"test": "a.csv"}]},
         "plan: task 1 'a' of the sequence has no train source"),
        ({"sequence": ["x/a.csv", "y/A.csv"]},
         "plan: two tasks are named 'A': give one of them a name, in a plan by  name: OTHER, for  "
         "init  by  OTHER=FILE"),
        ({"sequence": [{"name": "a/b", "train": "x"}]},
         "plan: sequence.0.name: 'a/b' cannot name a folder: use letters, digits, '-', '_' and "
         "'.' only"),
        ({"sequence": [{"train": "a", "hold_out": 1}]},
         "plan: sequence.0.hold_out: found int '1': input should be less than 1"),
        ({"model": None}, "plan: model: missing"),
        ({"model": {}}, "plan: model.name: missing"),
        ({"model": 3}, "plan: model: found int '3': needed a mapping"),
        ({"methods": {"replay": {"ratio": 0.1}}},
         "plan: methods: found dict \"{'replay': {'ratio': 0.1}}\": needed a list"),
        ({"methods": [{"replay": None, "ratio": 0.1}]},
         "plan: methods.0: found 'replay' and 'ratio' side by side, needed one method: indent its "
         "options below 'replay', and begin each further method with a dash"),
        ({"methods": [{"replay": 0.1}]},
         "plan: methods.0: options of replay must be a mapping such as {ratio: 0.1}, not 0.1"),
        ({"training": {"batch_size": "many"}},
         "plan: training.batch_size: found str 'many': input should be a valid integer, unable to "
         "parse string as an integer"),
        ({"training": {"learning_rate": float("inf")}},
         "plan: training.learning_rate: found float 'inf': input should be a finite number"),
        ({"training": {"epochs": float("nan")}},
         "plan: training.epochs: found float 'nan': input should be a finite number"),
        ({"training": {"seed": 2**32}}, "plan: training.seed: found int '4294967296': input should "
         "be less than 4294967296"),
        ({"ask": "Why?"}, "plan: ask: found str 'Why?': needed a list"),
        ({"output": 3}, "plan: output: found int '3': needed text"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_saying_where_and_what_was_needed(
    keys: dict[str, Any], message: str
) -> None:
    assert refusal(**keys).message == message


def test_every_fault_of_a_plan_is_listed_at_once() -> None:
    error = refusal(training={"epochs": 0, "warmpup": 0.1}, sequence=[{"train": 1}])
    assert len(error.message.split("\n")) == 3


def test_a_missing_key_comes_with_the_line_to_add() -> None:
    assert refusal(model=None).fix == "add  model: ..."


# Plan files


def test_a_plan_file_brings_what_it_says_and_defaults_for_the_rest(write: Write) -> None:
    loaded = load_plan(write("model: m\nsequence: [a.jsonl]\ntraining: {epochs: 0.5}\n"))
    assert loaded.training == TrainingConfig(epochs=0.5)
    assert Path(loaded.output).name == "plan"


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_byte_order_marks_and_line_endings_make_no_difference(
    write: Write, prefix: bytes, ending: str
) -> None:
    usual = load_plan(write(MINIMAL))
    assert load_plan(write(prefix + MINIMAL.replace("\n", ending).encode())) == usual


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: m\nmodel: n\n", "line 2: found the key 'model' twice"),
        ("model: m\ntraining:\n  seed: 1\n  epochs: 2\n  seed: 3\n",
         "line 5: found the key 'seed' twice"),
        ("model: m\n1: x\n", "line 2: found the key 1, needed text"),
        ("model: [m\nsequence: a\n", "line 2: expected ',' or ']', but got ':'"),
        ("model: m\n\tsequence: a\n", "line 2: found character '\\t' that cannot start any token"),
        ("model: !!python/object:os.system x\n", "line 1: could not determine a constructor for "
         "the tag 'tag:yaml.org,2002:python/object:os.system'"),
        ("model: &a {name: *a}\nsequence: [a]\n", "line 1: found unconstructable recursive node"),
    ],
)  # fmt: skip
def test_yaml_that_cannot_be_a_plan_is_refused_with_its_line(
    write: Write, text: str, message: str
) -> None:
    path = write(text)
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert caught.value.message == f"{path}: not valid YAML: {message}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "nothing"),
        ("# only a comment\n", "nothing"),
        ("- a\n- b\n", "list \"['a', 'b']\""),
        ("just text\n", "str 'just text'"),
        ("3\n", "int '3'"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(write: Write, text: str, found: str) -> None:
    path = write(text)
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    needed = "needed a mapping with at least model and sequence"
    assert caught.value.message == f"{path}: found {found}, {needed}"
    assert caught.value.fix is not None


def test_a_list_that_holds_itself_is_refused(write: Write) -> None:
    path = write("model: m\nsequence: &a [*a]\n")
    with pytest.raises(PlanError, match="line 2: found unconstructable recursive node"):
        load_plan(path)


def test_a_plan_nested_without_end_is_refused(write: Write) -> None:
    path = write("model: " + "[" * 400 + "]" * 400)
    with pytest.raises(PlanError, match="nested too deeply to be a plan"):
        load_plan(path)


def test_merge_keys_of_yaml_work_and_own_keys_win(write: Write) -> None:
    text = (
        "model: m\nsequence:\n  - &a {name: a, train: a.csv, shots: 2, limit: 9}\n"
        "  - {<<: *a, name: b, limit: 5}\n"
    )
    second = load_plan(write(text)).sequence[1]
    assert (second.name, second.shots, second.limit) == ("b", 2, 5)


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(write: Write) -> None:
    path = write(b"model: m\xff\n")
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert caught.value.message == f"{path}: not UTF-8 text (byte 8)"
    assert caught.value.fix == "save the file as UTF-8"


def test_a_missing_plan_file_comes_with_the_command_that_writes_one(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert caught.value.message == f"{path}: no such plan file"
    assert caught.value.fix == f"write one:  forgetless init DATA -o {path}"


def test_a_folder_is_no_plan_file(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="a folder, needed a plan file"):
        load_plan(tmp_path)


def test_a_plan_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read: File name too long"):
        load_plan(tmp_path / ("x" * 300))


# Paths


def test_paths_of_a_plan_are_relative_to_its_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    path = write(
        "model: model\nsequence: [a.jsonl, {train: sub/b.csv, test: ../c.csv}]\n"
        "methods: [{replay: {general: rows, buffer: all}}, {lora: {calibration: hub/rows}}]\n"
        "output: out\n"
    )
    for name in ("all", "rows"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir("/")
    loaded = load_plan(path)
    assert loaded.model.name == str(tmp_path / "model")
    assert loaded.sequence[0].train == str(tmp_path / "a.jsonl")
    assert loaded.sequence[1].train == str(tmp_path / "sub" / "b.csv")
    assert loaded.sequence[1].test == str(tmp_path / ".." / "c.csv")
    assert loaded.methods[0].options == {"general": str(tmp_path / "rows"), "buffer": "all"}
    assert loaded.methods[1].options == {"calibration": "hub:hub/rows"}
    assert loaded.output == str(tmp_path / "out")


@pytest.mark.parametrize("output", ["", "output: null\n"])
def test_a_plan_without_an_output_writes_where_its_own_name_says(
    write: Write, tmp_path: Path, output: str
) -> None:
    path = write(f"model: m\nsequence: [a.jsonl]\n{output}")
    assert load_plan(path).output == str(tmp_path / "runs" / path.stem)


def test_a_sign_of_comments_within_a_setting_is_text(write: Write, tmp_path: Path) -> None:
    path = write("model: m\nsequence: [a.jsonl]\n")
    for setting in ("output=exp#1", "output='exp#1'", 'output="exp#1"'):
        assert load_plan(path, [setting]).output == str(tmp_path / "exp#1")
    assert load_plan(path, ["output='exp #1' "]).output == str(tmp_path / "exp #1")


def test_absolute_and_home_paths_stay_what_they_are(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    loaded = load_plan(write("model: m\nsequence: [/d/a.jsonl, ~/b.jsonl]\noutput: ~/runs\n"))
    assert [task.train for task in loaded.sequence] == ["/d/a.jsonl", "/home/someone/b.jsonl"]
    assert loaded.output == "/home/someone/runs"


def test_bundled_and_hub_sources_are_no_paths(write: Write) -> None:
    loaded = load_plan(write("model: bundled:x\nsequence: [bundled:y, hub:org/z]\n"))
    assert loaded.model.name == "bundled:x"
    assert [task.train for task in loaded.sequence] == ["bundled:y", "hub:org/z"]


@pytest.mark.parametrize(
    ("source", "is_hub"),
    [
        ("org/name", True),
        ("org/name.v2", True),
        ("org/name.jsonl", False),
        ("org/NAME.CSV", False),
        ("a/b/c", False),
        ("name", False),
        ("./name", False),
    ],
)
def test_a_name_with_one_slash_that_is_no_file_means_the_hub(
    write: Write, source: str, is_hub: bool
) -> None:
    train = load_plan(write(f"model: m\nsequence: [{source}]\n")).sequence[0].train
    assert train is not None
    assert train.startswith("hub:") == is_hub


def test_a_folder_that_is_there_wins_over_a_hub_name(write: Write, tmp_path: Path) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    loaded = load_plan(write("model: org/name\nsequence: [org/name]\n"))
    here = str(tmp_path / "org" / "name")
    assert (loaded.model.name, loaded.sequence[0].train) == (here, here)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("~nobody-of-that-name/a.jsonl", "Could not determine home directory."),
        ("x" * 300 + ".jsonl", "File name too long"),
        ('"a\\0.jsonl"', "it contains a NUL character"),
    ],
)
def test_a_path_that_no_system_would_take_is_refused(
    write: Write, source: str, reason: str
) -> None:
    with pytest.raises(PlanError, match=r"the path '.*' cannot be used: " + reason):
        load_plan(write(f"model: m\nsequence: [{source}]\n"))


# Overrides


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.learning_rate=5e-5", "training.learning_rate", 5e-5),
        ("training.steps=7", "training.steps", 7),
        ("model.dtype=float32", "model.dtype", "float32"),
        ("model=other", "model.name", "other"),
        ("sequence.0.limit=3", "sequence.0.limit", 3),
        ("sequence.1.train=/x/c.csv", "sequence.1.train", "/x/c.csv"),
        ("sequence=[/x/z.csv]", "sequence.0.train", "/x/z.csv"),
        ("test_only.0.shots=4", "test_only.0.shots", 4),
        ("test_only.0.fields.prompt=q", "test_only.0.fields.prompt", "q"),
        ("methods=[lora]", "methods.0.name", "lora"),
        ("methods=lora", "methods.0.name", "lora"),
        ("methods.0.replay.ratio=0.4", "methods.0.options.ratio", 0.4),
        ("methods.1.lora.rank=2", "methods.1.options.rank", 2),
        ("ask=['One?', 'Two?']", "ask.1", "Two?"),
        ("ask.0=Three?", "ask.0", "Three?"),
        ("output=/x/runs", "output", "/x/runs"),
        ("training.steps=", "training.steps", None),
    ],
)
def test_an_override_replaces_one_key(write: Write, override: str, key: str, value: object) -> None:
    path = write(
        "model: m\nsequence: [a.jsonl, b.jsonl]\ntest_only: [t.csv]\nask: ['One?']\n"
        "methods: [{replay: {ratio: 0.1}}, lora]\n"
    )
    found: Any = load_plan(path, [override]).resolved()
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    assert found == value


def test_the_last_of_several_overrides_wins(write: Write) -> None:
    loaded = load_plan(write(MINIMAL), ["training.seed=1", "training.seed=2"])
    assert loaded.training.seed == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.seed", "--set training.seed: needed KEY=VALUE"),
        ("=3", "--set =3: needed KEY=VALUE"),
        ("output=exp #1", "--set output=exp #1: '#1' is a comment in YAML"),
        ("output=#1", "--set output=#1: '#1' is a comment in YAML"),
        ("sequence.2.train=x",
         "--set sequence.2.train=x: found '2', needed a number from 0 to 0"),
        ("sequence.a=x", "--set sequence.a=x: found 'a', needed a number from 0 to 0"),
        ("sequence.-1=x", "--set sequence.-1=x: found '-1', needed a number from 0 to 0"),
        ("ask.0=x", "--set ask.0=x: found '0', needed a list that is not empty"),
        ("output.x=1", "--set output.x=1: output is str 'runs/here', not a mapping"),
        ("training.seed=[1",
         "--set training.seed=[1: line 1: expected ',' or ']', but got '<stream end>'"),
    ],
)  # fmt: skip
def test_an_override_that_fits_nothing_is_refused(
    write: Write, override: str, message: str
) -> None:
    path = write(MINIMAL + "ask: []\noutput: runs/here\n")
    with pytest.raises(PlanError) as caught:
        load_plan(path, [override])
    assert caught.value.message == message


def test_an_unknown_key_in_an_override_is_refused_with_the_nearest(write: Write) -> None:
    with pytest.raises(PlanError, match="unknown key 'trainig'") as caught:
        load_plan(write(MINIMAL), ["trainig.seed=1"])
    assert caught.value.fix == "did you mean 'training'?"


# The resolved plan


FULL: dict[str, Any] = {
    "model": {"name": "m", "revision": "v1", "dtype": "float32", "trust_remote_code": True},
    "sequence": [{"name": "a", "train": "/d/a.jsonl", "fields": {"prompt": "q"}, "system": ""}],
    "test_only": [{"test": "hub:org/z", "score": "nll", "shots": 3}],
    "methods": [{"replay": {"ratio": 0.25, "buffer": "balanced"}}],
    "training": {"steps": 5, "learning_rate": 3e-5, "precision": "bfloat16"},
    "ask": ["Why: is #this?", "  two\nlines ", "😀 ä \x85 \u2028"],
    "output": "/runs/x",
}


def test_the_resolved_plan_read_back_is_the_same_plan(write: Write) -> None:
    made = make_plan(FULL)
    back = load_plan(write(made.to_yaml()))
    assert back == made
    assert back.fingerprint() == made.fingerprint()


def test_the_resolved_plan_writes_every_default_out() -> None:
    resolved = plan().resolved()
    assert set(resolved) == set(Plan.model_fields)
    assert set(resolved["sequence"][0]) == set(TaskConfig.model_fields)
    assert set(resolved["training"]) == set(TrainingConfig.model_fields)


@example(text="a", number=1.0, source="\x85")  # a line break that PyYAML loses
@example(text="0", number=1.0, source=".")
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(min_size=1).filter(str.strip),
    number=st.floats(min_value=1e-300, max_value=1e300),
    source=st.text(
        st.characters(exclude_characters="\0/~:", codec="utf-8"), min_size=1, max_size=40
    ),
)
def test_any_text_number_and_file_name_survives_writing_the_plan(
    write: Write, text: str, number: float, source: str
) -> None:
    made = plan(
        sequence=["/data/" + source],
        ask=[text],
        training={"learning_rate": number},
        output="/runs/x",
    )
    made = anchored(made, Path("/"))  # as a run saves it: of "/data/." only "/data" is left
    assert load_plan(write(made.to_yaml())).fingerprint() == made.fingerprint()


def _changed(value: Any) -> Any:
    """Another valid value of the same kind."""
    other: dict[Any, Any] = {None: 7, "auto": "float32", "linear": "cosine", "error": "drop"}
    other[()] = ["tensorboard"]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value / 2 + 0.01
    return other[value]


WITHOUT_EFFECT = {"checkpoint_every", "scoring_batch_size", "report_to"}


@pytest.mark.parametrize(
    "field", sorted(set(TrainingConfig.model_fields) - {"device"} - WITHOUT_EFFECT)
)
def test_the_fingerprint_changes_with_every_training_setting_that_decides_the_weights(
    field: str,
) -> None:
    value = _changed(TrainingConfig.model_fields[field].default)
    assert plan(training={field: value}).fingerprint() != plan().fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"model": {"name": "m", "revision": "v2"}},
        {"model": {"name": "m", "attention": "eager"}},
        {"sequence": ["b.jsonl"]},
        {"sequence": ["a.jsonl", "b.jsonl"]},
        {"sequence": [{"train": "a.jsonl", "name": "z"}]},
        {"sequence": [{"train": "a.jsonl", "fields": {"prompt": "q"}}]},
        {"sequence": [{"train": "a.jsonl", "shots": 1}]},
        {"sequence": [{"train": "a.jsonl", "system": ""}]},
        {"sequence": [{"train": "a.jsonl", "normalise": True}]},
        {"sequence": [{"train": "a.jsonl", "memory": True}]},
        {"test_only": ["t.jsonl"]},
        {"methods": ["replay"]},
        {"methods": [{"replay": {"ratio": 0.5}}]},
        {"training": {"device": "cpu"}},
        {"ask": ["Why?"]},
    ],
    ids=str,
)
def test_the_fingerprint_changes_with_everything_that_decides_the_results(
    change: dict[str, Any],
) -> None:
    assert plan(**change).fingerprint() != plan().fingerprint()


def test_the_fingerprint_of_a_plan_without_memory_is_that_of_before_there_was_such_a_key() -> None:
    assert "memory" not in plan(test_only=["t.jsonl"]).decisive()["sequence"][0]
    assert "memory" not in plan(test_only=["t.jsonl"]).decisive()["test_only"][0]


def test_the_fingerprint_is_the_same_wherever_results_are_written() -> None:
    assert plan(output="here").fingerprint() == plan(output="there").fingerprint()


@pytest.mark.parametrize("field", sorted(WITHOUT_EFFECT))
def test_the_fingerprint_is_the_same_whatever_does_not_decide_the_weights(field: str) -> None:
    value = _changed(TrainingConfig.model_fields[field].default)
    assert plan(training={field: value}).fingerprint() == plan().fingerprint()


def test_what_a_licence_is_called_decides_no_result() -> None:
    stated = plan(sequence=[{"train": "a.jsonl", "licence": "cc-by-4.0"}])
    assert stated.fingerprint() == plan().fingerprint()
    assert make_plan(stated.resolved()).sequence[0].licence == "cc-by-4.0"


def test_short_and_long_forms_have_the_same_fingerprint() -> None:
    long = plan(model={"name": "m"}, sequence=[{"name": "a", "train": "a.jsonl", "hold_out": 0.1}])
    assert long.fingerprint() == plan().fingerprint()


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        plan().training.epochs = 9


def test_every_setting_is_documented() -> None:
    for config in (Plan, ModelConfig, TaskConfig, TrainingConfig):
        for name, field in config.model_fields.items():
            assert field.description, f"{config.__name__}.{name}"


def test_a_plan_that_is_not_there_or_is_data_says_what_to_type(tmp_path: Path) -> None:
    plan, data = tmp_path / "mem.yaml", tmp_path / "planets.csv"
    plan.write_text("model: m\nsequence: [a.jsonl]\n")
    data.write_text("question,answer\na,b\n")
    for typed, fix in (
        (tmp_path / "mem.yml", f"did you mean {plan}?"),
        (tmp_path / "other.yaml", f"write one:  forgetless init DATA -o {tmp_path / 'other.yaml'}"),
        (data, f"write a plan for this data:  forgetless init {data}"),
    ):
        with pytest.raises(PlanError) as refused:
            load_plan(typed)
        assert refused.value.fix == fix
