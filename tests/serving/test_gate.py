"""Who may ask, and what a server refuses before it starts."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx2
import openai
import pytest
from starlette.testclient import TestClient

from forgetless.errors import ModelError, RunFolderError, UsageError
from forgetless.plan import MethodSpec, TrainingConfig
from forgetless.serving.app import application
from forgetless.serving.config import ServerConfig
from forgetless.serving.server import serve
from tests.serving.build import Served

TOKEN = "a-token-of-this-server"  # noqa: S105


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_a_token_opens_everything_and_nothing_opens_without(
    tiny_model: Path, tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    client = TestClient(application(ServerConfig(str(tiny_model), tmp_path, token=TOKEN)))
    assert client.get("/v1/models", headers=headers).status_code == status
    assert TOKEN not in repr(ServerConfig(str(tiny_model), tmp_path, token=TOKEN))


def test_without_a_token_web_pages_and_foreign_names_are_kept_out(served: Served) -> None:
    url = f"{served.url}/models"
    assert httpx2.get(url).status_code == 200
    page = httpx2.get(url, headers={"Origin": "https://example.org"})
    assert (page.status_code, page.json()["error"]["type"]) == (403, "invalid_request_error")
    assert httpx2.get(url, headers={"Host": "example.org"}).status_code == 400


def test_a_server_answers_to_the_address_that_it_was_told_to_listen_on(
    tiny_model: Path, tmp_path: Path
) -> None:
    server = application(ServerConfig(str(tiny_model), tmp_path, host="127.0.0.2"))
    assert TestClient(server, "http://127.0.0.2").get("/v1/models").status_code == 200


def test_a_server_says_that_it_is_well(served: Served) -> None:
    said = httpx2.get(served.url.removesuffix("/v1") + "/health")
    assert (said.status_code, said.json()) == (200, {"status": "ok"})


def test_unknown_addresses_are_errors_in_the_form_of_the_api(served: Served) -> None:
    with pytest.raises(openai.NotFoundError, match=r"GET /v1/vector_stores: Not Found"):
        served.client.vector_stores.list()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "0.0.0.0"}, "0.0.0.0 can be reached from other machines"),  # noqa: S104
        ({"methods": (MethodSpec(name="joint"),)}, "joint changes what is trained when"),
        ({"methods": (MethodSpec(name="auto"),)}, "auto depends on how many tasks"),
        ({"hold_out": 1.0}, "hold_out is 1"),
        (
            {"training": TrainingConfig(epochs=1.5)},
            r"training.epochs is 1.5, but the n_epochs of a job are whole",
        ),
        ({"name": "my:model"}, "the name 'my:model' holds a colon"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ServerConfig("model", tmp_path, **settings)  # type: ignore[arg-type]


def test_two_servers_do_not_work_in_one_folder(served: Served) -> None:
    config = ServerConfig(served.config.model, served.config.folder)
    from filelock import FileLock

    with FileLock(config.folder / ".lock"), pytest.raises(RunFolderError, match="in use by"):
        serve(config, lambda _: None)


def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ModelError, match="a server needs uvicorn") as caught:
        serve(ServerConfig(str(tiny_model), tmp_path), lambda _: None)
    assert caught.value.fix == "pip install 'forgetless[serve]'"
