"""Which providers of models the environment enables: their keys and addresses."""

import re
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


def standard(variable: str) -> AliasChoices:
    """A variable that others named, for a field of ours."""
    return AliasChoices(variable, variable.lower())


def http_address(value: str | None) -> str | None:
    """An address without a slash at its end. Raises ValueError: it is none."""
    if value is None:
        return None
    try:
        known = bool(re.match(r"https?://[^\s/]", value)) and urlsplit(value).port != 0
    except ValueError:  # the port is no number
        known = False
    if not known:
        raise ValueError("write it as http://host:port or https://host")
    return value.rstrip("/")


class ProviderSettings(BaseSettings):
    """Part of `Settings`."""

    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("OPENAI_API_KEY"), description="enables the openai/… models"
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias=standard("OPENAI_BASE_URL"),
        description="server that speaks the OpenAI wire, if not OpenAI's own",
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("ANTHROPIC_API_KEY"), description="enables the anthropic/… models"
    )
    anthropic_base_url: str | None = Field(
        default=None,
        validation_alias=standard("ANTHROPIC_BASE_URL"),
        description="server that speaks the Anthropic wire, if not Anthropic's own",
    )
    groq_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("GROQ_API_KEY"), description="enables the groq/… models"
    )
    groq_base_url: str | None = Field(
        default=None,
        validation_alias=standard("GROQ_BASE_URL"),
        description="server that speaks the Groq wire, if not Groq's own",
    )
    ollama_base_url: str | None = Field(
        default=None,
        validation_alias=standard("OLLAMA_BASE_URL"),
        description="Ollama server; enables the ollama/… models",
    )
    ollama_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=standard("OLLAMA_API_KEY"),
        description="key for an Ollama server that asks for one",
    )
    openrouter_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("OPENROUTER_API_KEY"), description="enables the openrouter/… models"
    )
    together_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("TOGETHER_API_KEY"), description="enables the together/… models"
    )
    deepseek_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("DEEPSEEK_API_KEY"), description="enables the deepseek/… models"
    )
    mistral_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("MISTRAL_API_KEY"), description="enables the mistral/… models"
    )
    xai_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("XAI_API_KEY"), description="enables the xai/… models"
    )
    gemini_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("GEMINI_API_KEY"), description="enables the gemini/… models"
    )
    fireworks_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("FIREWORKS_API_KEY"), description="enables the fireworks/… models"
    )
    cerebras_api_key: SecretStr | None = Field(
        default=None, validation_alias=standard("CEREBRAS_API_KEY"), description="enables the cerebras/… models"
    )
    vllm_base_url: str | None = Field(
        default=None,
        validation_alias=standard("VLLM_BASE_URL"),
        description="vLLM server; enables the vllm/… models",
    )
    sglang_base_url: str | None = Field(
        default=None,
        validation_alias=standard("SGLANG_BASE_URL"),
        description="SGLang server; enables the sglang/… models",
    )
    lmstudio_base_url: str | None = Field(
        default=None,
        validation_alias=standard("LMSTUDIO_BASE_URL"),
        description="LM Studio server; enables the lmstudio/… models",
    )
    llamacpp_base_url: str | None = Field(
        default=None,
        validation_alias=standard("LLAMACPP_BASE_URL"),
        description="llama.cpp server; enables the llamacpp/… models",
    )

    @field_validator(
        "openai_base_url",
        "anthropic_base_url",
        "groq_base_url",
        "vllm_base_url",
        "sglang_base_url",
        "lmstudio_base_url",
        "llamacpp_base_url",
    )
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        return http_address(value)
