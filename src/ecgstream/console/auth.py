"""Who may do what: local users, roles and signed sessions.

Users stand in a file, one a line, ``name:role:hash``, the hash by Argon2id (RFC 9106). It is read again
when it changes. A session is a signed cookie (HMAC-SHA256) that outlives a restart of the console when the
key is given. At each request the user is looked up again: a removed user, a new password or another role
takes effect at once. Signing out ends the session on the server too.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from itsdangerous import BadData, URLSafeSerializer

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
MAX_PASSWORD = 256
MIN_PASSWORD = 10
MIN_SECRET = 32
MAX_USERS = 5000
MAX_COOKIE = 2048
CHECK_FILE_S = 2.0
# The hash of a password that nobody knows: an unknown name costs as much time as a known one.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$qIqxzExjsB/suRO3ykrnJA$iD2AZrXwzKSxW4dxW34OgNb28D3dPwwLe/y4Bvca/jA"

log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What a person may do; each role may also do what stands before it."""

    VIEW = "view"
    ACKNOWLEDGE = "acknowledge"
    CONFIGURE = "configure"

    def allows(self, needed: "Role") -> bool:
        """Whether this role suffices where `needed` is asked."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Person:
    """Who is signed in."""

    name: str
    role: Role
    sid: str
    until_s: float
    csrf: str


@dataclass(frozen=True, slots=True)
class User:
    """A line of the users file."""

    name: str
    role: Role
    password_hash: str


class Users:
    """Local users; an empty path means none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._hasher = PasswordHasher()
        self._turn = asyncio.Semaphore(2)  # 64 MiB each
        self._users: dict[str, User] = {}
        self._seen: tuple[int, int] | None = None
        self._checked_s = 0.0
        if path is not None:
            self._read()

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            self._users = parse_users(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"users_file: {error}") from error
        self._seen = (stat.st_mtime_ns, stat.st_size)

    def get(self, name: str) -> User | None:
        """The user of that name, by the file as it is now.

        A file that can't be read or is wrong lets nobody in.
        """
        if self._path is not None and time.monotonic() - self._checked_s > CHECK_FILE_S:
            self._checked_s = time.monotonic()
            try:
                stat = self._path.stat()
                if (stat.st_mtime_ns, stat.st_size) != self._seen:
                    self._read()
            except (OSError, ValueError) as error:
                if self._users:
                    log.error("nobody local can sign in, all are signed out", reason=str(error))
                self._users, self._seen = {}, None
        return self._users.get(name)

    async def verify(self, name: str, password: str) -> User | None:
        """The user when the password is right. Takes as long for an unknown name as for a wrong password."""
        user = self.get(name)
        if len(password) > MAX_PASSWORD:
            return None
        async with self._turn:
            right = await asyncio.to_thread(
                self._matches, NOBODY if user is None else user.password_hash, password
            )
        return user if right else None

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def parse_users(text: str) -> dict[str, User]:
    """The users in the text of a users file; raises `ValueError` naming the line."""
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":", 2)
        if len(parts) != 3 or not NAME.fullmatch(parts[0]) or parts[1] not in list(Role):
            raise ValueError(
                f"users_file: line {number}: expected name:role:hash with role view, acknowledge or configure"
            )
        if not parts[2].startswith("$argon2id$"):
            raise ValueError(
                f"users_file: line {number}: the hash of {parts[0]} is not Argon2id; make it by `ecgstream user`"
            )
        if parts[0] in users:
            raise ValueError(f"users_file: line {number}: {parts[0]} stands there twice")
        users[parts[0]] = User(parts[0], Role(parts[1]), parts[2])
    if len(users) > MAX_USERS:
        raise ValueError(f"users_file: {len(users)} users, at most {MAX_USERS}")
    return users


def user_line(name: str, role: str, password: str) -> str:
    """The line of a users file; raises `ValueError` naming what is wrong."""
    if not NAME.fullmatch(name):
        raise ValueError(f"name: expected letters, digits and . _ @ -, got {name!r}")
    if role not in list(Role):
        raise ValueError(f"role: expected view, acknowledge or configure, got {role!r}")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ValueError(
            f"password: expected {MIN_PASSWORD} to {MAX_PASSWORD} characters, got {len(password)}"
        )
    return f"{name}:{role}:{PasswordHasher().hash(password)}"


class Sessions:
    """Signed sessions; `ended` tells whether a session id was ended before its time."""

    def __init__(self, secret: str | None, hours: float, users: Users, ended: Callable[[str], bool]) -> None:
        if secret is not None and len(secret) < MIN_SECRET:
            raise ValueError(f"secret: expected {MIN_SECRET} characters or more, got {len(secret)}")
        self._key = (secret or secrets.token_hex(32)).encode()
        self._signer = URLSafeSerializer(
            self._key, salt="session", signer_kwargs={"digest_method": hashlib.sha256}
        )
        self._hours, self._users, self._ended = hours, users, ended

    def open_local(self, user: User) -> str:
        """The cookie of a new session of a local user."""
        return self._open(user.name, None, self._fingerprint(user))

    def open_oidc(self, name: str, role: Role) -> str:
        """The cookie of a new session of a person whom the issuer vouched for."""
        return self._open(name, role, "")

    def _open(self, name: str, role: Role | None, fingerprint: str) -> str:
        until_s = time.time() + 3600 * self._hours
        return str(
            self._signer.dumps(
                {"n": name, "r": role, "f": fingerprint, "s": secrets.token_hex(16), "u": until_s}
            )
        )

    def _fingerprint(self, user: User) -> str:
        return hmac.new(self._key, b"user:" + user.password_hash.encode(), hashlib.sha256).hexdigest()[:32]

    def csrf(self, sid: str) -> str:
        """The token that a session's changes must carry."""
        return hmac.new(self._key, b"csrf:" + sid.encode(), hashlib.sha256).hexdigest()

    def read(self, cookie: str | None) -> Person | None:
        """Who the cookie speaks for, or None when it speaks for nobody (any more)."""
        if cookie is None or len(cookie) > MAX_COOKIE:
            return None
        try:
            data = self._signer.loads(cookie)
            name, role, sid, until_s = data["n"], data["r"], data["s"], float(data["u"])
            fingerprint = data["f"]
        except (BadData, KeyError, TypeError, ValueError):
            return None
        if time.time() >= until_s or self._ended(sid):
            return None
        if role is None:
            user = self._users.get(name)
            if user is None or not hmac.compare_digest(self._fingerprint(user), fingerprint):
                return None
            role = user.role
        return Person(name, Role(role), sid, until_s, self.csrf(sid))
