"""The secrets an agent gives its tools: encrypted each for its own place."""

from collections.abc import Sequence

from o.keyring import Keyring
from o.store.records import SecretRecord


def secret_context(agent_id: str, key: str) -> str:
    """What an agent's secret is bound to when it is encrypted: it opens nowhere else."""
    return f"agent_secrets/{agent_id}/{key}"


def opened(keyring: Keyring, secrets: Sequence[SecretRecord]) -> dict[str, str]:
    """The values of secrets, by key. Raises KeyUnusable where the key file is another than the one they were sealed
    with."""
    return {
        secret.key: keyring.decrypt(secret.value, context=secret_context(secret.agent_id, secret.key))
        for secret in secrets
    }
