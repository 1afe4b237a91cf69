"""Save a model so that plain transformers or peft loads it; whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forgetless.models.quiet import quiet
from forgetless.storage import replace_folder


def save_stage_model(model: Any, tokenizer: Any, stage: Path) -> Path:
    """Write the model of a finished stage.

    Args:
        model: A transformers model, or a peft model whose adapter alone is written.
        tokenizer: Saved beside it.
        stage: The stage's folder.

    Returns:
        ``stage/model`` for a whole model, ``stage/adapter`` for an adapter.
    """
    import peft

    folder = stage / ("adapter" if isinstance(model, peft.PeftModel) else "model")
    with replace_folder(folder) as part, quiet():
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        for file in part.rglob("adapter_config.json"):
            _in_order(file)
    return folder


def _in_order(file: Path) -> None:
    """Names of modules in order: peft holds them in sets, which are written in any."""
    config = json.loads(file.read_text(encoding="utf-8"))
    for key in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(config.get(key), list):
            config[key].sort()
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
