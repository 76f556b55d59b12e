"""What the emulated Ollama says of its models, and what it refuses as the real one would.

`tiny-words` knows no tools, `thinker`, `gpt-oss` and `qwen3` think, `seer` sees, `embed-N` makes vectors of N
dimensions, `small` has its window in its Modelfile, `ancient` is described as servers before 0.6.4 do, `cloudy` runs
elsewhere, of `bare` nothing is said that makes sense.
"""

import base64
import binascii
from typing import Any

WINDOW = 40_960  # what every model is made for

_CAPABILITIES = {
    "tiny-words": ["completion"],
    "thinker": ["completion", "tools", "thinking"],
    "gpt-oss": ["completion", "tools", "thinking"],
    "qwen3": ["completion", "tools", "thinking"],
    "seer": ["completion", "tools", "vision"],
}


def mistake(body: dict[str, Any]) -> str | None:
    """What the real server refuses a request for: its Go types, its options, its capabilities, its chat templates."""
    known = shown(body["model"].partition(":")[0])["capabilities"] if body["model"] != "bare" else ["completion"]
    if body.get("tools") and "tools" not in known:
        return f'"{body["model"]}" does not support tools'
    if body.get("think") and "thinking" not in known:
        return f'"{body["model"]}" does not support thinking'
    if not isinstance(body.get("think"), (bool, str, type(None))) or body.get("think") == "xhigh":
        return "invalid think value"
    form = body.get("format")
    if form is not None and form != "json" and not isinstance(form, dict):
        return "invalid format"
    for name in ("num_ctx", "num_predict", "seed"):  # api/types.go, Options.FromMap
        if not isinstance(body["options"].get(name, 0), int):
            return f'option "{name}" must be of type integer'
    return _wrong_tool(body.get("tools") or []) or _wrong_message(body["messages"], "vision" in known)


def _wrong_tool(tools: list[dict[str, Any]]) -> str | None:
    for tool in tools:
        parameters = tool["function"]["parameters"]
        if parameters.get("type") != "object" or not isinstance(parameters.get("properties"), dict):
            return "json: cannot unmarshal into Go struct field ToolFunctionParameters.properties"
        if not isinstance(parameters.get("required", []), list):
            return "json: cannot unmarshal object into Go struct field ToolFunctionParameters.required of type []string"
        if not all(isinstance(each, dict) for each in parameters["properties"].values()):
            return "json: cannot unmarshal bool into Go value of type api.ToolProperty"
    return None


def _wrong_message(messages: list[dict[str, Any]], sees: bool) -> str | None:
    waiting: list[tuple[str, str]] = []
    seen: set[str] = set()
    for message in messages:
        if message["role"] not in ("system", "user", "assistant", "tool"):
            return "invalid role"
        if not isinstance(message.get("content"), str):
            return "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"
        if message["role"] == "tool":
            # Templates without ids tell the returns apart by their order, those with ids need them to match.
            if not waiting or waiting.pop(0) != (message["tool_call_id"], message["tool_name"]):
                return "a return without its call before it, which chat templates raise an exception for"
        elif waiting:
            return "a call without its return after it, which chat templates raise an exception for"
        for image in message.get("images") or ():
            if not sees:
                return "Multimodal data provided, but model does not support multimodal requests."
            try:
                base64.b64decode(image, validate=True)
            except binascii.Error:
                return "illegal base64 data at input byte 0"
        for call in message.get("tool_calls") or ():
            if not isinstance(call["function"]["arguments"], dict):
                return "json: cannot unmarshal string into Go value of type api.ToolCallFunctionArguments"
            if call["id"] in seen:
                return "duplicate call id"
            seen.add(call["id"])
            waiting.append((call["id"], call["function"]["name"]))
    return "a call without its return" if waiting else None


def shown(name: str) -> dict[str, Any]:
    family = {"gpt-oss": "gptoss", "qwen3": "qwen3"}.get(name, "llama")
    shown: dict[str, Any] = {
        "license": "MIT",
        "modelfile": "# Modelfile",
        "parameters": 'temperature                    0.7\nstop                           "<|im_end|>"',
        "template": "{{ if .Tools }}{{ .Tools }}{{ end }}{{ .Prompt }}",
        "details": {"format": "gguf", "family": family, "families": [family], "parameter_size": "8B"},
        "model_info": {
            "general.architecture": family,
            f"{family}.context_length": WINDOW,
            "clip.context_length": 77,
            f"{family}.embedding_length": 4096,
        },
        "capabilities": _CAPABILITIES.get(name, ["completion", "tools"]),
    }
    if name == "qwen3":
        shown["thinking"] = {"values": [True, False], "default": True}
    if name.startswith("embed-"):
        shown |= {
            "capabilities": ["embedding"],
            "model_info": {"general.architecture": "bert", "bert.context_length": 512},
        }
    if name == "small":
        shown["parameters"] += "\nnum_ctx                        8192"
    if name == "ancient":
        del shown["capabilities"]
    if name == "cloudy":
        shown |= {"remote_host": "https://ollama.com:443", "remote_model": "cloudy"}
    if name == "bare":
        return {"capabilities": 5, "model_info": None, "details": [], "parameters": None}
    return shown
