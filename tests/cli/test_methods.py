"""``forgetless methods`` says what there is, from the code and the pages of the methods."""

from __future__ import annotations

import json

import pytest

from forgetless.methods import METHODS
from forgetless.methods.groups import GROUPS
from tests.cli.conftest import Forgetless


def test_every_method_stands_in_one_group() -> None:
    members = [name for _, names in GROUPS.values() for name in names]
    assert sorted(members) == sorted(METHODS)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_has_every_method_in_a_line_below_its_group(
    forgetless: Forgetless, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = forgetless("methods")
    assert (code, err) == (0, "")
    wanted = [
        line
        for group, (purpose, names) in GROUPS.items()
        for line in (
            f"{group}: {purpose}",
            *(f"  {name:<18}{str(METHODS[name].__doc__).splitlines()[0]}" for name in names),
        )
    ]
    *listed, last = map(str.rstrip, out.splitlines())
    assert listed == wanted
    assert last.endswith(": forgetless methods NAME")


def test_in_json_the_list_says_what_each_method_does_and_costs(forgetless: Forgetless) -> None:
    found = json.loads(forgetless("methods", "--json").out)
    assert [one["name"] for one in found] == list(METHODS)
    assert all(one["does"] and one["cost"].endswith(".") for one in found)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_explained_with_every_option_and_its_page(
    forgetless: Forgetless, name: str
) -> None:
    code, out, err = forgetless("methods", name)
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    for option, field in METHODS[name].Config.model_fields.items():
        assert f"\n{option} " in out
        assert str(field.description).split()[0] in words
    for head in ("When to use it", "Cost", "Source"):
        assert f"\n{head}\n" in out


def test_options_come_with_default_and_values_from_the_config(forgetless: Forgetless) -> None:
    found = json.loads(forgetless("methods", "ewc", "--json").out)
    options = {option["name"]: option for option in found["options"]}
    assert options["strength"]["default"] == "1.0"
    assert options["mode"]["values"] == "`online` | `separate`"
    assert found["about"]["Source"].startswith("Kirkpatrick et al. 2017")
    assert found["group"] == "regularisation"


def test_with_what_sharding_a_method_can_train_is_said(forgetless: Forgetless) -> None:
    assert "\nsharded weights (FSDP2): yes\n" in forgetless("methods", "ewc").out
    out = " ".join(forgetless("methods", "osf").out.split())
    assert "sharded weights (FSDP2): no, after every step it projects weights" in out
    assert "DeepSpeed: no, it acts before and after the optimiser's step, where" in out
    assert "\nDeepSpeed: yes\n" in forgetless("methods", "kl").out
    about = json.loads(forgetless("methods", "ewc", "--json").out)
    assert about["excludes_sharding"] == ""
    assert about["excludes_deepspeed"].startswith("it adds to the gradient")


@pytest.mark.parametrize("name", METHODS)
def test_the_example_of_a_method_is_one_that_a_plan_takes(
    forgetless: Forgetless, name: str
) -> None:
    import yaml

    from forgetless.plan import make_plan

    out = forgetless("methods", name).out
    (line,) = [line for line in out.splitlines() if line.startswith("in a plan: ")]
    methods = yaml.safe_load(line.removeprefix("in a plan: "))
    plan = make_plan({"model": "m", "sequence": ["a.jsonl"], **methods})
    assert [spec.name for spec in plan.methods] == [name]
    METHODS[name](**plan.methods[0].options)


def test_a_misspelt_method_is_refused_with_the_nearest(forgetless: Forgetless) -> None:
    code, out, err = forgetless("methods", "ewk")
    assert (code, out) == (2, "")
    assert err == "error: methods: there is no method 'ewk'\n  fix: did you mean 'ewc'?\n"
