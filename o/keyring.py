"""Encryption of stored secrets with the key of the key file: AES-256-GCM, bound to where the secret belongs."""

import base64
import binascii
import hashlib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from o.errors import ProjectError

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = "o1"


class KeyUnusable(ProjectError):
    """The key file cannot be used, or what was stored does not open with its key."""

    code = "key_unusable"


class Keyring:
    """Encrypts and decrypts with one key. A ciphertext names its format and its key: `o1.<key id>.<base64url>`."""

    def __init__(self, key: bytes) -> None:
        """Use `key`, 32 bytes. `load` is the usual way in."""
        if len(key) != _KEY_BYTES:
            raise KeyUnusable(f"the key must have {_KEY_BYTES} bytes, this one has {len(key)}")
        self._key = key
        self._aead = AESGCM(key)
        self.key_id = hashlib.sha256(b"o key id\0" + key).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"Keyring(key_id={self.key_id!r})"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key file, making it first if there is none; processes that make it at once agree on one.

        Raises:
            KeyUnusable: others may read the file, it holds no key, or it cannot be read or made.
        """
        try:
            if not path.exists():
                _create(path)
            return cls(_read(path))
        except OSError as error:
            raise KeyUnusable(f"the key file {path} cannot be used: {error.strerror}") from error

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose: always the same ones, and nothing follows from them about the key or the others."""
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"{_VERSION} {purpose}".encode()).derive(self._key)

    def encrypt(self, text: str, *, context: str) -> str:
        """Encrypt `text` so that it opens only with the same `context` (say, table, column and row id)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._aead.encrypt(nonce, text.encode(), self._bound(context))
        return f"{_VERSION}.{self.key_id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def decrypt(self, token: str, *, context: str) -> str:
        """Open what `encrypt` made.

        Raises:
            KeyUnusable: another key, another context, or a changed ciphertext.
        """
        version, _, rest = token.partition(".")
        key_id, _, payload = rest.partition(".")
        if version != _VERSION or not payload:
            raise KeyUnusable("this is no secret that O encrypted, or a newer version wrote it")
        if key_id != self.key_id:
            raise KeyUnusable(
                f"this secret was encrypted with key {key_id}, the key file holds {self.key_id}: "
                "put the old key file back (O_KEY_FILE)"
            )
        try:
            sealed = base64.b64decode(payload, altchars=b"-_", validate=True)
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound(context)).decode()
        except (InvalidTag, ValueError) as error:
            raise KeyUnusable("a stored secret was changed or moved and does not open any more") from error

    def _bound(self, context: str) -> bytes:
        return f"{_VERSION}.{self.key_id}.{context}".encode()


def _create(path: Path) -> None:
    """Write a fresh key beside `path`, then link it there: a reader sees a whole key, the first writer wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key is the key
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise KeyUnusable(f"the key file {path} may be read by others: run `chmod 600 {path}`")
        text = file.read(4096).strip()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise KeyUnusable(f"the key file {path} holds no key (32 bytes in base64)") from error
