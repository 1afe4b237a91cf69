"""Folders and files that are no model, or one that must not be loaded."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_inputs.case import Case, Content, endless

DRY = "run plan.yaml --dry-run --set model=./bad"
RUN = "run plan.yaml --quiet --set model=./bad"
GGUF = "run plan.yaml --dry-run --set model=./bad.gguf"
AUDIT = "audit model bad --task a.jsonl --quiet"
REPAIR = "repair model bad --task a.jsonl --quiet"
AGAIN = "copy or download it again"
PLAIN = "set  render: plain  for the task"
TRUST = "trust_remote_code: true"
SAFE = "convert the model to safetensors"

Build = Callable[[Path], object]


class Bomb:
    """Leaves a mark wherever it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch executed",)


PICKLE = pickle.dumps(Bomb())
MARK = "from pathlib import Path\nPath('executed').touch()\n"
SHARDS = json.dumps({"weight_map": {"model.norm.weight": "../../secret.safetensors"}})


def like(source: str, **changed: Content | None) -> Build:
    """A copy of ``model`` or ``adapter`` with other files; ``__`` is the point, None leaves out."""

    def make(path: Path) -> None:
        shutil.copytree(path.parent / source, path)
        for name, content in changed.items():
            file = path / name.replace("__", ".")
            file.unlink(missing_ok=True)
            if content is not None:
                Case("", "", "", files={file.name: content}).build(path)

    return make


def edited(source: str, name: str, **values: Any) -> Build:
    """A copy of ``model`` or ``adapter``, with other values in one of its JSON files."""

    def make(path: Path) -> None:
        shutil.copytree(path.parent / source, path)
        file = path / f"{name}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return make


def with_code(path: Path) -> None:
    """A model of a type that only the code in its folder knows."""
    names = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    edited("model", "config", auto_map=names, model_type="brandnew")(path)
    (path / "code.py").write_text(MARK)


def with_tokenizer_code(path: Path) -> None:
    names = {"AutoTokenizer": ["code.Tokenizer", None]}
    edited("model", "tokenizer_config", auto_map=names, tokenizer_class="Tokenizer")(path)
    (path / "code.py").write_text(MARK)


def torn(path: Path) -> None:
    path.write_bytes((path.parent.parent / "model" / path.name).read_bytes()[:5000])


def weights(content: Content | None) -> Build:
    return like("model", model__safetensors=content)


def config(**values: Any) -> Build:
    return edited("model", "config", **values)


def with_more_tokens(path: Path) -> None:
    """A tokenizer that was added to, beside weights that were not."""
    from transformers import AutoTokenizer

    shutil.copytree(path.parent / "model", path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.add_tokens(["colour"])
    tokenizer.save_pretrained(path)


def adapter(**values: Any) -> Build:
    return edited("adapter", "adapter_config", **values)


def model(name: str, build: Content, says: str, fix: str = AGAIN, command: str = DRY) -> Case:
    """A model; ``command`` loads its configuration and tokenizer, or its weights as well."""
    return Case(f"model: {name}", command, says, fix, {"bad": build})


def template(name: str, text: str, says: str) -> Case:
    """A chat template."""
    return model(f"template, {name}", like("model", chat_template__jinja=text), says, PLAIN)


MODELS = (
    model("an empty folder", Path.mkdir, "found no config.json", "a folder saved by transformers"),
    model("a text file", "text", "a file that is not a GGUF model", "name the folder"),
    model("pickled weights", like("model", model__safetensors=None, pytorch_model__bin=PICKLE),
          "found only pytorch_model.bin; pickled weights can run code", SAFE),
    model("pickled weights, audit", like("model", model__safetensors=None, a__pt=PICKLE),
          "found only a.pt; pickled weights can run code", SAFE, AUDIT),
    model("a pickle named safetensors", weights(PICKLE), "the model cannot be read", command=RUN),
    model("a pickle named tokenizer.json", like("model", tokenizer__json=PICKLE),
          "the tokenizer cannot be read"),
    model("torn weights", weights(torn), "the model cannot be read: Error while des", command=RUN),
    model("torn weights, audit", weights(torn), "the model cannot be read", command=AUDIT),
    model("torn weights, repair", weights(torn), "the model cannot be read", command=REPAIR),
    model("empty weights", weights(""), "header too small", command=RUN),
    model("a header that never ends", weights(b"\xff" * 8), "header too large", command=RUN),
    model("weights that are a folder", weights(Path.mkdir), "found no *.safetensors file", "copy"),
    model("weights that are a pipe", weights(os.mkfifo), "model.safetensors: neither a", "remove"),
    model("weights without end", weights(endless), "model.safetensors: neither a file", "remove"),
    model("weights linked to nowhere", weights(lambda p: p.symlink_to("no")), "neither", "remove"),
    model("shards outside of the folder", like("model", model__safetensors__index__json=SHARDS), "names '../../secret.safetensors', needed a file of the same", "you trust it"),
    model("shards that are no JSON", like("model", model__safetensors__index__json="no"),
          "model.safetensors.index.json: not valid JSON"),
    model("a config that is no JSON", like("model", config__json="no"), "config.json: not valid"),
    model("a config that is a list", like("model", config__json="[]"), "found list, needed an obj"),
    model("a config that is not UTF-8", like("model", config__json=b"\xff"), "config.json: not val"),
    model("a config nested without end", like("model", config__json="[" * 90_000), "too deeply"),
    model("a number of 5,000 digits", like("model", config__json=f'{{"a": {"9" * 5000}}}'),
          "config.json: not valid JSON: a number of too many digits"),
    model("a config that is a pipe", like("model", config__json=os.mkfifo), "neither", "remove"),
    model("an unknown type", config(model_type="brandnew"), "transformers does not know", "pip"),
    model("an encoder", config(model_type="t5"), "the configuration cannot be read: Unrecognized"),
    model("a width that is text", config(hidden_size="wide"), "'hidden_size' expected int"),
    model("a width below 0", config(hidden_size=-64), "the configuration cannot be read"),
    model("no heads", config(num_attention_heads=0), "cannot be read"),
    model("a billion layers", config(num_hidden_layers=10**9), "num_hidden_layers is 1000000000",
          "copy the model again"),
    model("a smaller vocabulary", config(vocab_size=10), "the model cannot be read", command=RUN),
    model("a tokenizer that knows more", with_more_tokens, "'0' of task 'a' cannot be read: the "
          "tokenizer's token 'colour' has number 261", "model.resize_token_embeddings(len("),
    model("code of its own", with_code, "bad: brings code of its own, which is not run", TRUST),
    model("code of its own, run", with_code, "brings code of its own, which is", TRUST, RUN),
    model("code of its own, audit", with_code, "brings code of its own, which is", TRUST, AUDIT),
    model("a tokenizer's code", with_tokenizer_code, "brings code of its own, which is", TRUST),
    model("no tokenizer", like("model", tokenizer__json=None, tokenizer_config__json=None),
          "there is no tokenizer.json, or none that is whole", "copy the tokenizer"),
    model("a tokenizer that is no JSON", like("model", tokenizer__json="no"), "the tokenizer cann"),
    model("a tokenizer that is a list", like("model", tokenizer__json="[]"), "the tokenizer cann"),
    model("a tokenizer of nothing", like("model", tokenizer__json="{}"), "the tokenizer cannot be"),
    model("its config a list", like("model", tokenizer_config__json="[]"), "the tokenizer cannot"),
    Case("GGUF: text", GGUF, "does not start with the GGUF magic", AGAIN, {"bad.gguf": "text"}),
    Case("GGUF: empty", GGUF, "the model cannot be read", AGAIN, {"bad.gguf": ""}),
    Case("GGUF: torn", GGUF, "the model cannot be read", AGAIN,
         {"bad.gguf": b"GGUF\x03\0\0\0" + b"\xff" * 16}),
    Case("model: unknown offline", "run plan.yaml --dry-run --set model=no/such",
         "no/such: no such folder or file here, and the tokenizer cannot be had from the hub", "check the path"),
    Case("model: an address", "run plan.yaml --dry-run --set model=https://x.org/a/b",
         "no such model folder", "a model of the hub is named  OWNER/NAME"),
    Case("model: an endpoint", "run plan.yaml --dry-run --set model=openai:x",
         "training.max_length has no effect on openai:x", "hosted has batch_size"),
    Case("model: without a name", ("run", "plan.yaml", "--dry-run", "--set", "model=''"),
         "model.name: found no name, needed a hub name"),
    Case("model: attention", "run plan.yaml --quiet --set model.attention=nope",
         "cannot be computed with the attention that the plan names", "leave  model.attention"),
)  # fmt: skip
ADAPTERS = (
    model("adapter, pickled", like("adapter", adapter_model__safetensors=None,
          adapter_model__bin=PICKLE), "found only adapter_model.bin; pickled weights", SAFE),
    model("adapter, pickled as well", like("adapter", adapter_model__safetensors="x",
          adapter_model__bin=PICKLE), "the adapter cannot be read", command=RUN),
    model("adapter, a list as config", like("adapter", adapter_config__json="[]"), "found list"),
    model("adapter, nested config", like("adapter", adapter_config__json="[" * 90_000), "too deeply"),
    model("adapter, no base", adapter(base_model_name_or_path=None), "does not say what", "add"),
    model("adapter, 7 as base", adapter(base_model_name_or_path=7), "does not say what its", "add"),
    model("adapter, base gone", adapter(base_model_name_or_path="/gone"),
          "/gone: no such model folder", "check the path"),
    model("adapter, base unknown offline", adapter(base_model_name_or_path="no/such"),
          "no/such: no such folder or file here, and the tokenizer cannot be had from the hub", "check the path"),
    model("adapter, NUL in its base", adapter(base_model_name_or_path="a\0b"),
          "no model folder or file, and no name of the hub", "check the path"),
    model("adapter, a base without end", adapter(base_model_name_or_path="a" * 5000),
          "File name too long", "check the path"),
    model("adapter of itself", adapter(base_model_name_or_path="./bad"),
          "an adapter of an adapter, and so on without end", "base_model_name_or_path"),
    model("adapter, unknown kind", adapter(peft_type="NOPE"), "'NOPE' is not known", command=RUN),
    model("adapter, rank as text", adapter(r="x"), "the adapter cannot be read", command=RUN),
    model("adapter, another rank", adapter(r=8), "does not fit the model", "base_model_name",
          command=RUN),
    model("adapter, another rank, audit", adapter(r=8), "does not fit the model",
          "base_model_name", command=AUDIT),
    model("adapter, other layers", adapter(target_modules=["nope"]), "'nope'", command=RUN),
    model("adapter of another base", adapter(base_model_name_or_path="no/such"),
          "is an adapter of no/such, not of model", "name its own base", REPAIR),
)  # fmt: skip
TEMPLATES = (
    template("raises", "{{ raise_exception('never') }}", "refuses a conversation of user: never"),
    template("is no template", "{% for %}", "refuses a conversation of user: Expected an express"),
    template("asks for what is not there", "{{ a.b.c }}", "'a' is undefined"),
    template("leaves the answer out", "the same", "leaves out what the assistant says"),
    template("climbs", "{{ ''.__class__.__mro__ }}", "access to attribute '__class__'"),
    template("calls the system", "{{ cycler.__init__.__globals__.os.system('touch executed') }}",
             "access to attribute '__init__'"),
    template("reads a file", "{% include '/etc/passwd' %}", "refuses a conversation of user: no l"),
    template("counts to a billion", "{% for i in range(10**9) %}{% endfor %}", "Range too big"),
    model("template, not UTF-8", like("model", chat_template__jinja=b"\xff"), "tokenizer cannot"),
)  # fmt: skip
