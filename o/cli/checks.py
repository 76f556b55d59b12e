"""The checks of `o doctor`, each of one part; a check says what is wrong and what to do."""

import asyncio
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from o import temporal
from o.cli.client import Api
from o.cli.local import Local
from o.embedded import ports
from o.embedded.lock import holder
from o.errors import ProjectError, Unavailable
from o.keyring import Keyring
from o.sandbox.base import SandboxReport
from o.sandbox.client import SocketSandbox
from o.store import migrate as schema

_KEYS = (
    temporal.ORG_ID,
    temporal.AGENT_ID,
    temporal.CONVERSATION_ID,
    temporal.AGENT_RUN_ID,
    temporal.RUN_KIND,
    temporal.STOP_REASON,
    temporal.STEP_INDEX,
)
_LOCAL_MODEL_TIMEOUT = 20.0
_POLL_AGE = 90.0
_SANDBOX_TIMEOUT = 60.0


class Wrong(Exception):
    """What a check found; `fix` is what to do."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.fix = fix


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    part: str
    ok: bool
    found: str
    fix: str = ""


def run_all(local: Local) -> list[Finding]:
    """Run every check; none hinders another."""
    checks: dict[str, Callable[[Local], str]] = {
        "data folder": data_folder,
        "key file": key_file,
        "supervisor": supervisor,
        "ports": free_ports,
        "database": database,
        "Temporal": temporal_server,
        "API": api,
        "workers": workers,
        "providers": providers,
        "MCP servers": mcp_servers,
        "local model": local_model,
        "sandbox": sandbox,
    }
    return [_finding(part, check, local) for part, check in checks.items()]


def data_folder(local: Local) -> str:
    """It is there, ours, and closed to others."""
    folder = local.layout.data_dir
    if not folder.is_dir():
        raise Wrong(f"{folder} does not exist yet", "run `o up`, which makes it, or name another with O_DATA_DIR")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Wrong(
            f"{folder} cannot be written", f"run `chown {os.geteuid()} {folder}`, or name another with O_DATA_DIR"
        )
    mode = stat.S_IMODE(folder.stat().st_mode)
    wanted = 0o711 if local.layout.shared else 0o700
    if mode & ~wanted:
        raise Wrong(f"{folder} is open to others (mode {mode:o})", f"run `chmod {wanted:o} {folder}`")
    return str(folder)


def key_file(local: Local) -> str:
    """It is there, closed to others, and holds a key."""
    path = local.settings.key_file
    if not path.exists():
        raise Wrong(f"{path} does not exist yet", "run `o up`, which makes it, or put your own back (O_KEY_FILE)")
    return f"{path} (key {Keyring.load(path).key_id})"


def supervisor(local: Local) -> str:
    """`o up` runs on the data folder, if it is meant to."""
    about = holder(local.layout.lock)
    if about is not None:
        return f"o up runs as process {about.get('pid')}"
    if local.settings.database_url and local.settings.temporal_address:
        return "not needed: database and Temporal are given"
    raise Wrong("o up does not run on this data folder", "run `o up`")


def free_ports(local: Local) -> str:
    """What `o up` would listen on is free, unless it listens already."""
    if holder(local.layout.lock) is not None:
        return "in use by o up"
    settings = local.settings
    ports.check(settings.host, settings.port, "--port", "O_PORT")
    if settings.temporal_address is None:
        ports.check("127.0.0.1", settings.temporal_port, "--temporal-port", "O_TEMPORAL_PORT")
        ports.check("127.0.0.1", settings.ui_port, "--ui-port", "O_UI_PORT")
    return "free"


def database(local: Local) -> str:
    """It answers and its schema is ours."""
    at, newest = schema.current(local.reachable_database()), schema.head()
    if at != newest:
        raise Wrong(f"the schema is at {at or 'nothing'}, this version wants {newest}", "run `o migrate`")
    return f"answers, schema {at}"


def temporal_server(local: Local) -> str:
    """It answers and knows our search attributes."""
    return asyncio.run(_temporal_server(local))


def api(local: Local) -> str:
    """Its health route answers."""
    with Api(local.settings, timeout=5.0) as client:
        health = client.get("/v1/health/")
    return f"{local.settings.base_url} answers, version {health['version']}"


def workers(local: Local) -> str:
    """Somebody polls every task queue."""
    return asyncio.run(_workers(local))


def providers(local: Local) -> str:
    """All providers of models say what they have."""
    with Api(local.settings, timeout=30.0) as client:
        states = client.get("/v1/providers/status")
    if silent := [state for state in states if state["error"]]:
        said = "; ".join(f"{state['name']}: {state['error']['message']}" for state in silent)
        raise Wrong(said, "mend the variable or the server, or remove it (`o providers rm NAME`)")
    return ", ".join(f"{state['name']} ({state['models']})" for state in states)


def mcp_servers(local: Local) -> str:
    """All MCP servers answered when they were last asked, and describe their tools as was agreed to."""
    with Api(local.settings, timeout=30.0) as client:
        servers = client.get("/v1/mcp-servers/")
        tools = [tool for one in servers for tool in client.get(f"/v1/mcp-servers/{one['id']}/tools")]
    if changed := [tool["name"] for tool in tools if tool["mcp"]["drift"]]:
        fix = "look at the change (`o mcp tools SERVER`), then accept it (`o mcp refresh SERVER`) or remove the server"
        raise Wrong(f"tools were changed by their server and are not called: {', '.join(changed)}", fix)
    if failing := [one for one in servers if one["last_error"]]:
        said = "; ".join(f"{one['server_name']}: {one['last_error']}" for one in failing)
        raise Wrong(said, "mend the server or its settings, then run `o mcp refresh SERVER`")
    return f"{len(servers)} servers, {len(tools)} tools" if servers else "none was added"


def local_model(local: Local) -> str:
    """The process of the local models answers on its socket (which starts it under `o up`)."""
    path = local.layout.model_socket(local.settings.local_model_socket)
    if not path.is_socket():
        raise Wrong(f"{path} does not exist", "run `o up` or `o local-model`")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=_LOCAL_MODEL_TIMEOUT) as client:
        try:
            response = client.get("http://local-model/health")
        except httpx.TransportError as error:
            raise Wrong(f"{path} does not answer", "run `o up` or `o local-model`") from error
    if response.is_error:
        raise Wrong(f"answers with status {response.status_code}", "see local-model.log in the data folder's logs")
    return "answers"


def sandbox(local: Local) -> str:
    """The executor answers, and its attacks on itself failed."""
    path = local.layout.sandbox_socket(local.settings.sandbox_socket)
    report = asyncio.run(_sandbox_report(path))
    missing = [f"{layer.name} ({layer.note})" for layer in report.layers if not layer.active]
    if not report.sufficient:
        raise Wrong(report.message, "see the layers in executor.log in the data folder's logs")
    return report.message + (f"; layers this machine lacks: {', '.join(missing)}" if missing else "")


async def _sandbox_report(path: Path) -> SandboxReport:
    try:
        async with asyncio.timeout(_SANDBOX_TIMEOUT):
            return await SocketSandbox(path).report()
    except TimeoutError:
        raise Wrong(f"{path} does not answer", "run `o up` or `o executor`") from None


async def _temporal_server(local: Local) -> str:
    client = await _connect(local)
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        raise Wrong(
            f"the namespace {client.namespace!r} is refused", "make it, or name another (TEMPORAL_NAMESPACE)"
        ) from error
    missing = [key.name for key in _KEYS if key.name not in known.custom_attributes]
    if missing:
        raise Wrong(f"search attributes are missing: {', '.join(missing)}", "start a worker, which registers them")
    return f"{local.settings.temporal} answers, namespace {client.namespace!r}"


async def _workers(local: Local) -> str:
    client = await _connect(local)
    idle = [queue.value for queue in temporal.Queue if not await _polled(client, queue)]
    if idle:
        raise Wrong(f"nobody works on the task queues {', '.join(idle)}", "run `o up` or `o worker`")
    return f"work on {', '.join(queue.value for queue in temporal.Queue)}"


async def _polled(client: Client, queue: temporal.Queue) -> bool:
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=queue.value), task_queue_type=kind
            )
        )
        # The server lists pollers for minutes after they are gone; one that lives asks at least once a minute.
        if any(time.time() - poller.last_access_time.seconds < _POLL_AGE for poller in described.pollers):
            return True
    return False


async def _connect(local: Local) -> Client:
    address = local.settings.temporal
    try:
        return await temporal.connect(address, local.settings.temporal_namespace)
    except Unavailable as error:
        raise Wrong(
            f"the server at {address} does not answer", "run `o up`, or name another (TEMPORAL_ADDRESS)"
        ) from error


def _finding(part: str, check: Callable[[Local], str], local: Local) -> Finding:
    try:
        return Finding(part, True, check(local))
    except Wrong as wrong:
        return Finding(part, False, str(wrong), wrong.fix)
    except ProjectError as error:
        found, _, fix = error.message.partition(": ")
        return Finding(part, False, found, fix)
