"""Sign-in by OpenID Connect (authorization code with PKCE), done by authlib.

The id token's roles claim names what the person may do: the highest of ``<prefix>view``,
``<prefix>acknowledge``, ``<prefix>configure``. Whoever has none of them is refused, however well they are
known to the issuer.
"""

from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from httpx2 import HTTPError
from joserfc.errors import JoseError
from starlette.requests import Request

from ecgstream.console.auth import Role
from ecgstream.console.settings import ConsoleSettings, read_secret

# What authlib raises where metadata, keys or a token lack what it needs or are no objects at all.
UNUSABLE = (
    HTTPError,
    OAuthError,
    JoseError,
    ValueError,
    RuntimeError,
    LookupError,
    TypeError,
    AttributeError,
)


class SignInRefused(Exception):
    """The issuer didn't vouch for the person, or gave them no role here."""


class Oidc:
    """The issuer, as the settings name it; `client_kwargs` go to its HTTP client."""

    def __init__(self, settings: ConsoleSettings, client_kwargs: dict[str, Any] | None = None) -> None:
        self._claim, self._prefix = settings.oidc_roles_claim, settings.oidc_role_prefix
        issuer = str(settings.oidc_issuer).rstrip("/")
        secret = read_secret(
            settings.oidc_client_secret, settings.oidc_client_secret_file, "oidc_client_secret_file"
        )
        self._public_url = settings.public_url
        self._client = OAuth().register(
            name="oidc",
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_id=settings.oidc_client_id,
            client_secret=secret,
            client_kwargs={
                "scope": "openid profile email",
                "code_challenge_method": "S256",
                **(client_kwargs or {}),
            },
        )

    async def begin(self, request: Request, next_path: str) -> Any:
        """The redirect to the issuer, to come back to `next_path`; raises `SignInRefused` when it can't be reached."""
        request.session["next"] = next_path
        back = (
            f"{self._public_url.rstrip('/')}/oidc/back"
            if self._public_url
            else str(request.url_for("oidc_back"))
        )
        try:
            return await self._client.authorize_redirect(request, back)
        except UNUSABLE as error:
            raise SignInRefused(f"the issuer can't be reached ({type(error).__name__})") from error

    async def finish(self, request: Request) -> tuple[str, Role]:
        """Name and role of the person who came back; raises `SignInRefused`.

        A token that doesn't fit the issuer's keys lets them be fetched anew for the next one: authlib does so for key ids only.
        """
        try:
            token = await self._client.authorize_access_token(request)
        except UNUSABLE as error:
            if not isinstance(error, OAuthError):
                self._client.server_metadata.pop("jwks", None)
            raise SignInRefused(f"the issuer's answer was not accepted ({type(error).__name__})") from error
        claims = token.get("userinfo") or {}
        name = str(claims.get("preferred_username") or claims.get("email") or claims.get("sub") or "")[:100]
        return person_of(name, claims.get(self._claim), self._prefix)


def person_of(name: str, roles: object, prefix: str) -> tuple[str, Role]:
    """Name and highest role; raises `SignInRefused` without a printable name or a role."""
    if not name or not name.isprintable():
        raise SignInRefused("the issuer gave no usable name")
    named = roles if isinstance(roles, list) else str(roles or "").split()
    held = [role for role in Role if f"{prefix}{role}" in named]
    if not held:
        raise SignInRefused("you have no role on this console")
    return f"oidc:{name}", held[-1]
