"""One frozen value made from the environment at the edge and passed inwards; nothing else reads variables."""

import ipaddress
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from o.errors import InvalidArgument
from o.guard.policy import parse_allowed
from o.provider_settings import ProviderSettings, http_address, standard
from o.sandbox_settings import SandboxSettings
from o.search_settings import SearchSettings

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Origin = Literal["default", "environment", "flag"]


class BadSettings(InvalidArgument):
    """Variables or flags with values that cannot be used; the message has one line for each."""

    code = "bad_settings"


@dataclass(frozen=True)
class Described:
    """One setting as a person should see it: secrets are masked."""

    name: str
    variable: str
    value: str
    origin: Origin
    meaning: str


def default_data_dir() -> Path:
    """Where O keeps its state when nothing else is said.

    For root that is not the home: the embedded Postgres runs as another user then, who must be able to pass through
    every parent of its data, and a home of mode 700 must stay one.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/o")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "o"


def _served(gguf: Path | None) -> str:
    """The handle of the model that the local model process serves: the built-in one, or the file's."""
    return f"local/{gguf.stem.lower()}" if gguf is not None else "local/smollm2-135m"


class Settings(ProviderSettings, SearchSettings, SandboxSettings):
    """Everything that can be configured. Use `load`, which words bad values for people."""

    model_config = SettingsConfigDict(
        env_prefix="O_",
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        validate_default=True,
        populate_by_name=True,
    )

    data_dir: Path = Field(default_factory=default_data_dir, description="where O keeps its state")
    host: str = Field(default="127.0.0.1", min_length=1, description="address the API listens on")
    port: Port = Field(default=8283, description="port of the API")
    temporal_port: Port = Field(default=7233, description="port of the embedded Temporal server")
    ui_port: Port = Field(default=8233, description="port of the embedded Temporal UI")
    workers: int = Field(default=1, ge=0, le=64, description="worker processes that `o up` starts")
    database_url: str | None = Field(default=None, repr=False, description="Postgres to use; the embedded one if unset")
    database_pool: int = Field(default=10, ge=1, le=1000, description="connections each process may hold")
    temporal_address: str | None = Field(
        default=None,
        validation_alias=standard("TEMPORAL_ADDRESS"),
        description="Temporal server (host:port) to use; the embedded one if unset",
    )
    temporal_namespace: str = Field(
        default="default",
        min_length=1,
        validation_alias=standard("TEMPORAL_NAMESPACE"),
        description="Temporal namespace O lives in",
    )
    local_model: Path | None = Field(default=None, description="GGUF file to serve instead of the built-in model")
    default_model: str = Field(
        default_factory=lambda known: _served(known.get("local_model")), description="model of agents that name none"
    )
    default_embedding: str = Field(default="local/all-minilm-l6-v2", description="embedding of agents that name none")
    local_context: int = Field(default=4096, ge=512, description="tokens of the local model's window, at most")
    local_model_socket: Path = Field(
        default_factory=lambda known: known["data_dir"] / "run" / "local-model.sock",
        description="unix socket of the local model process",
    )
    sandbox_socket: Path = Field(
        default_factory=lambda known: known["data_dir"] / "run" / "sandbox.sock",
        description="unix socket of the executor that runs tools",
    )
    key_file: Path = Field(
        default_factory=lambda known: known["data_dir"] / "key", description="file of the key that encrypts secrets"
    )
    allowed_hosts: str = Field(
        default="",
        description="private addresses that providers and images given through the API may name: "
        "networks and host names, separated by commas",
    )
    package_index_url: str | None = Field(
        default=None, repr=False, description="index that the packages of tools come from; PyPI if unset"
    )
    scripted_journal: Path | None = Field(default=None, description="file to which the scripted model notes requests")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="how much is logged")
    base_url: str = Field(
        default_factory=lambda known: f"http://127.0.0.1:{known['port']}", description="API that the CLI talks to"
    )
    api_key: SecretStr | None = Field(default=None, description="key that the CLI shows to the API")
    heartbeat_timeout: Seconds = Field(default=5.0, description="seconds without a heartbeat until a step moves on")
    model_timeout: Seconds = Field(default=600.0, description="seconds one model request may take")
    model_patience: Seconds = Field(
        default=3600.0, description="seconds a step waits in all for a model that is busy or fails"
    )
    tool_timeout: Seconds = Field(default=180.0, description="seconds one tool call may take")
    reconcile_every: Seconds = Field(default=10.0, description="seconds between looks for runs left behind")
    approval_ttl: Seconds = Field(default=7 * 86400.0, description="seconds a pending approval stays open")
    event_retention: Seconds = Field(default=3 * 3600.0, description="seconds a run's events can be replayed")
    max_body_bytes: int = Field(default=10 * 2**20, ge=1024, description="bytes a request body may have")

    _flags: frozenset[str] = PrivateAttr(default=frozenset())

    @field_validator("data_dir", "local_model", "local_model_socket", "sandbox_socket", "key_file", "scripted_journal")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # Children start elsewhere: a relative path would mean another file to them.
        return None if path is None else path.expanduser().absolute()

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: str) -> str:
        parse_allowed(value)
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("write it as postgresql://user:password@host:5432/database")
        return value

    @field_validator("temporal_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^\s/]+:\d{1,5}", value):
            raise ValueError("write it as host:port")
        return value

    @field_validator("base_url", "package_index_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return http_address(value)

    @field_validator("default_model", "default_embedding")
    @classmethod
    def _handle(cls, value: str) -> str:
        if not re.fullmatch(r"[^\s/]+/\S+", value):
            raise ValueError("write it as provider/model")
        return value

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Read the environment; flags that are not None win over it.

        Raises:
            BadSettings: with one line for every bad value.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise BadSettings("\n".join(_complaints(error, given))) from None
        settings._flags = frozenset(given)
        return settings

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the API."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def temporal(self) -> str:
        """host:port of the Temporal server in use."""
        return self.temporal_address or f"127.0.0.1:{self.temporal_port}"

    @property
    def ui_url(self) -> str | None:
        """The embedded Temporal UI; None when Temporal runs elsewhere."""
        return None if self.temporal_address else f"http://127.0.0.1:{self.ui_port}"

    def environment(self) -> dict[str, str]:
        """What a child process must find in its environment besides ours: the flags, and every path made absolute."""
        paths = {name for name in type(self).model_fields if isinstance(getattr(self, name), Path)}
        return {variable(name): str(getattr(self, name)) for name in sorted(self._flags | paths)}

    def describe(self) -> list[Described]:
        """Every setting, its variable, its value without secrets, and where the value came from."""
        return [
            Described(name, variable(name), self._shown(name), self._origin(name), field.description or "")
            for name, field in type(self).model_fields.items()
        ]

    def _origin(self, name: str) -> Origin:
        if name in self._flags:
            return "flag"
        return "environment" if os.environ.get(variable(name)) else "default"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if value is None:
            return ""
        return without_password(str(value)) if name.endswith("_url") else str(value)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"O_{name.upper()}"


def without_password(url: str) -> str:
    """The URL with its password, in the authority or the query, replaced by stars."""
    url = re.sub(r"^([\w+]+://[^:@/?]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&]\w*password)=[^&]*", r"\1=***", url)


def _complaints(error: ValidationError, flags: dict[str, Any]) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=False):
        if problem["type"] == "default_factory_not_called":
            continue  # follows from another bad value, which has its own line
        key = str(problem["loc"][0]) if problem["loc"] else ""
        name = next((n for n in Settings.model_fields if key in (n, variable(n)) or key.upper() == variable(n)), None)
        if name is None:
            yield f"{key}: no such setting"
            continue
        where = f"--{name.replace('_', '-')}" if name in flags else variable(name)
        secret = name.endswith(("_key", "_url"))
        shown = "" if secret else f" (not {str(problem['input'])[:80]!r})"
        yield f"{where}: {problem['msg'].removeprefix('Value error, ')}{shown}"
