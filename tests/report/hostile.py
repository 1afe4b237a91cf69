"""A run whose every text tries to become markup, a script, a mention or a terminal command."""

from __future__ import annotations

from pathlib import Path

from .fake_runs import FakeTask, write_run

SCRIPT = "<script>document.title='pwned'</script>"
IMAGE = "<img src=x onerror=\"document.title='pwned'\">"
BREAKOUT = "\"'></title></style></svg></textarea>--><script>document.title='pwned'</script>"
CONTROLS = "\x1b[31mred\x00\u202egnp.exe"
MARKDOWN = "@everyone | `a` ``b`` </details> [x](http://example.org)"
TEXT = f"{SCRIPT} {IMAGE} {BREAKOUT} {CONTROLS} {{{{7*7}}}} {{% raw %}} {MARKDOWN}"
NAME = f"law {SCRIPT}"
LABEL = f"replay {IMAGE}"


def write_hostile(root: Path) -> list[Path]:
    """Two arms, so that everything that can be shown is shown."""

    def tasks(end: float) -> list[FakeTask]:
        escaped = TEXT.replace("{", "{{").replace("}", "}}")
        extra = {"description": TEXT, "rendering": TEXT, "scorer": TEXT, "warnings": [TEXT]}
        return [
            FakeTask(
                NAME,
                [0.1, 0.9, end],
                1,
                items=20,
                question=f"{{i}} {escaped}",
                output=f"{escaped} {{i}}",
                errors={2: 1},
                extra=extra,
            ),
            FakeTask(f"tax {BREAKOUT}", [0.1, None, 0.9], 2, items=20, question="\\{i}"),
        ]

    common = {
        "versions": {TEXT: TEXT},
        "machine": {"platform": TEXT},
        "created": f"2026-03-01{TEXT}",
        "warnings": [TEXT],
        "model": {"name": TEXT, "parameters": 1, "dtype": TEXT, "sha256": TEXT},
    }
    folders = []
    for name, label, end in (("plain", "sequential", 0.0), ("other", LABEL, 0.5)):
        folders.append(
            write_run(
                root / name,
                tasks(end),
                label=label,
                stages=["base", "one", "two"],
                manifest={**common, "name": f"{name} {SCRIPT}"},
                answers={0: [(TEXT, TEXT)], 2: [(TEXT, TEXT)]},
            )
        )
        (folders[-1] / "plan.yaml").write_text(f"# {SCRIPT}\n")
    return folders
