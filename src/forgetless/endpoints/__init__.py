"""Models behind an OpenAI-compatible endpoint, asked like local ones."""

from forgetless.endpoints.config import PREFIX, EndpointConfig
from forgetless.endpoints.subject import EndpointSubject

__all__ = ["PREFIX", "EndpointConfig", "EndpointSubject"]
