"""Save a model so that plain transformers or peft loads it; whole or not at all."""

from __future__ import annotations

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
    return folder
