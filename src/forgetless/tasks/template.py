"""Whether a chat template is one: it comes to an end, and shows what is said.

Templates come with a model, and are programs.  ``transformers`` runs them in a sandbox, out of
which they reach no file and no code; how long they take is up to them.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from forgetless.errors import ModelError

LONGEST = 10.0  # seconds for two short messages; usual templates take less than a thousandth

_ASKED, _SAID = "question", "forgetless"
PLAIN = "set  render: plain  for the task, or mend the template in the model's folder"


def check_template(tokenizer: Any) -> None:
    """Render a short conversation.

    What a template refuses is not judged here: the row that it refuses tells more.

    Raises:
        ModelError: if it takes without end, or leaves the answer out.
    """
    found: list[str] = []

    def render() -> None:
        messages = [{"role": "user", "content": _ASKED}, {"role": "assistant", "content": _SAID}]
        try:
            found.append(str(tokenizer.apply_chat_template(messages, tokenize=False)))
        except (Exception, SystemExit):  # refused, or stopped
            return

    thread = threading.Thread(target=render, daemon=True)
    thread.start()
    thread.join(LONGEST)
    name = tokenizer.name_or_path or "the tokenizer"
    if thread.is_alive():
        _stop(thread)
        raise ModelError(
            f"{name}: its chat template does not come to an end ({LONGEST:g} s for two short "
            "messages)",
            fix=PLAIN,
        )
    if found and _SAID not in found[0]:
        raise ModelError(f"{name}: its chat template leaves out what the assistant says", fix=PLAIN)


def _stop(thread: threading.Thread) -> None:
    """End a thread at its next step in Python; templates are compiled to Python."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
    )
