"""The name of opaque JSON: documents O stores and passes on without reading them."""

from typing import Any

JsonObject = dict[str, Any]
