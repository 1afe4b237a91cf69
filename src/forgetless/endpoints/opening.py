"""Opening an endpoint: what it lists, and what to say if it cannot be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.endpoints.client import Attempts, Client
from forgetless.endpoints.config import PREFIX, EndpointConfig
from forgetless.endpoints.faults import Refused, Unanswered
from forgetless.endpoints.key import Key
from forgetless.errors import ModelError, RunFailed

NO_USE_ASKING_ON = (401, 403, 429)  # /completions would say the same
NAMED = 5  # models named in a message


async def listed_models(client: Client) -> dict[str, str]:
    """Models that the server lists, with when each was made; none if it lists none.

    A server may keep the list to itself and answer all the same, so no fault counts here.
    """
    try:
        reply = await client.get("/models", Attempts(0), dict)
    except RunFailed:
        return {}
    data = reply.get("data")
    entries: list[Mapping[str, Any]] = [e for e in data or () if isinstance(e, Mapping)]
    return {str(entry.get("id")): str(entry.get("created") or "") for entry in entries}


def refusal(
    config: EndpointConfig, key: Key, fault: Refused | Unanswered, listed: Mapping[str, str]
) -> ModelError:
    """Why an endpoint cannot be asked, and what to set."""
    name, where, variable = PREFIX + config.model, config.base_url, config.key_variable
    if isinstance(fault, Unanswered):
        return ModelError(
            f"{name}: {where} does not answer: {fault.message}",
            fix="start the server, or give the right address:  --base-url http://HOST:PORT/v1",
        )
    said = f"{where} refused (HTTP {fault.status}): {fault.said}"
    if fault.status == 401 and not key:
        return ModelError(
            f"{name}: {where} wants a key, but ${variable} is not set (HTTP 401: {fault.said})",
            fix=f"export {variable}=...",
        )
    if fault.status in (401, 403):
        return ModelError(
            f"{name}: {said}",
            fix=f"check that the key in ${variable} is right, and may use this model there",
        )
    if fault.status == 429:
        return ModelError(f"{name}: {said}", fix="check the account that the key belongs to")
    if listed and config.model not in listed:
        offered = ", ".join(list(listed)[:NAMED]) + (", ..." if len(listed) > NAMED else "")
        return ModelError(f"{name}: {said}", fix=f"name a model that it offers: {offered}")
    return ModelError(
        f"{name}: {said}",
        fix="check the model's name, and the address, which mostly ends in /v1 (--base-url)",
    )
