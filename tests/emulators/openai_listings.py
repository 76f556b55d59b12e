"""Listings of models with the fields that each service really has in them."""

from typing import Any

_TOGETHER_PRICE = {"hourly": 0, "input": 0.88, "output": 0.88, "base": 0, "finetune": 0, "cached_input": 0.44}
_OPENROUTER = {
    "id": "anthropic/claude-sonnet-4.5",
    "name": "Anthropic: Claude Sonnet 4.5",
    "context_length": 1_000_000,
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000, "is_moderated": False},
    "pricing": {
        "prompt": "0.000003",
        "completion": "0.000015",
        "input_cache_read": "0.0000003",
        "input_cache_write": "0.00000375",
    },
    "supported_parameters": ["max_tokens", "reasoning", "response_format", "structured_outputs", "tools"],
}


def listing(flavour: str) -> Any:
    """The body of the listing; always with something in it that is no model."""
    entries = [*_ENTRIES.get(flavour, ()), "junk", {"id": 5}]
    return entries if flavour == "together" else {"object": "list", "data": entries}


_ENTRIES: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {"id": name, "object": "model", "created": 1715367049, "owned_by": "system"}
        for name in (
            *("gpt-4o", "gpt-5.2", "gpt-5.3-codex", "gpt-5.4", "gpt-5.4-pro", "gpt-5-pro", "o3-deep-research"),
            *("gpt-6-cyber", "gpt-4o-audio-preview", "whisper-1", "text-embedding-3-small"),
        )
    ],
    "groq": [
        {"id": "llama-3.3-70b-versatile", "active": True, "context_window": 131072, "max_completion_tokens": 32768},
        {"id": "some/new-model", "active": True, "context_window": 65536, "max_completion_tokens": 8000},
        {"id": "gone", "active": False, "context_window": 8192},
        {"id": "whisper-large-v3", "active": True, "context_window": 448},
    ],
    "openrouter": [
        _OPENROUTER,
        _OPENROUTER
        | {
            "id": "small/text-only:free",
            "architecture": {"input_modalities": ["text"]},
            "pricing": {"prompt": "0", "completion": "0"},
            "supported_parameters": ["max_tokens", "response_format"],
        },
        _OPENROUTER
        | {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}, "supported_parameters": []},
    ],
    "together": [
        {"id": "meta-llama/Llama-3.3-70B", "type": "chat", "context_length": 131072, "pricing": _TOGETHER_PRICE},
        {"id": "black-forest-labs/FLUX.1", "type": "image", "pricing": {"input": 0, "output": 0}},
        {"id": "BAAI/bge-large-en-v1.5", "type": "embedding", "context_length": 512},
    ],
    "mistral": [
        {
            "id": "mistral-large-latest",
            "max_context_length": 131072,
            "capabilities": {"completion_chat": True, "function_calling": True, "vision": True},
        },
        {"id": "old", "capabilities": {"completion_chat": True, "function_calling": False, "vision": False}},
        {"id": "mistral-embed", "capabilities": {"completion_chat": False}},
        {"id": "mistral-fim", "capabilities": {"completion_chat": False}},
    ],
    "gemini": [{"id": "models/gemini-3-flash"}, {"id": "models/gemini-embedding-001"}, {"id": "models/veo-3"}],
    "fireworks": [
        {
            "id": "accounts/fireworks/models/kimi-k2",
            "context_length": 262144,
            "supports_chat": True,
            "supports_image_input": False,
            "supports_tools": True,
        }
    ],
    "deepseek": [{"id": "deepseek-flash", "object": "model", "owned_by": "deepseek"}],
    "xai": [{"id": "grok-4", "object": "model"}, {"id": "grok-imagine-image", "object": "model"}],
    "cerebras": [{"id": "gpt-oss-120b", "object": "model"}],
    "vllm": [{"id": "Qwen/Qwen3-8B", "max_model_len": 40960, "root": "Qwen/Qwen3-8B"}],
    "sglang": [{"id": "Qwen/Qwen3-8B", "max_model_len": 40960}],
    "lmstudio": [
        {
            "id": "qwen3-8b",
            "type": "llm",
            "state": "loaded",
            "max_context_length": 40960,
            "loaded_context_length": 8192,
        },
        {"id": "gemma-3-4b", "type": "vlm", "state": "not-loaded", "max_context_length": 131072},
        {"id": "text-embedding-nomic-embed-text-v1.5", "type": "embeddings", "max_context_length": 2048},
    ],
    "llamacpp": [{"id": "model.gguf", "meta": {"n_ctx": 8192, "n_ctx_train": 131072, "n_params": 8190735360}}],
}
