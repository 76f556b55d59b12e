"""Which service searches the web for agents: its key, or the address of one's own."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from o.provider_settings import http_address, standard


class SearchSettings(BaseSettings):
    """Part of `Settings`. Of several, the first in this order is asked."""

    exa_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("EXA_API_KEY"), description="lets web_search ask Exa"
    )
    tavily_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("TAVILY_API_KEY"), description="lets web_search ask Tavily"
    )
    brave_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("BRAVE_API_KEY"), description="lets web_search ask Brave Search"
    )
    searxng_url: str | None = Field(default=None, description="SearXNG server that web_search may ask")

    @field_validator("searxng_url")
    @classmethod
    def _server(cls, value: str | None) -> str | None:
        return http_address(value)
