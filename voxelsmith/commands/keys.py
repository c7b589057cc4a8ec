"""voxelsmith keys: create, list, revoke."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from jobs.keys import ApiKey, ApiKeys, Scope
from jobs.queue import JobQueue
from jobs.quota import NOBODY
from jobs.webhooks.signing import Secrets
from voxelsmith.commands import options as o
from voxelsmith.commands.told.report import print_json, print_table, say
from voxelsmith.queues import visited

app = typer.Typer(
    help="API keys, in the data folder of `serve` or at VOXELSMITH_REDIS_URL where that is set.", no_args_is_help=True
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 100 * 365 * 86400


@dataclass(frozen=True)
class Life:
    """How long a key is valid."""

    seconds: int


def _life(text: str) -> Life:
    match = re.fullmatch(r"([1-9]\d{0,9})([smhd])", text, re.ASCII)
    if match is None or int(match[1]) * _SECONDS[match[2]] > _LONGEST_S:
        raise typer.BadParameter("takes a number and a unit, such as 90d, 12h, 30m or 45s")
    return Life(int(match[1]) * _SECONDS[match[2]])


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="For you to recognise it in the list.")] = "",
    scope: Annotated[list[Scope] | None, typer.Option(help="May be given twice. [jobs]")] = None,
    expires: Annotated[
        Life | None, typer.Option(metavar="90d", parser=_life, help="How long it is valid; without, until revoked.")
    ] = None,
    data: o.Data = None,
    as_json: o.Json = False,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept."""
    if len(name) > 64 or not name.isprintable():
        raise typer.BadParameter("a name has at most 64 printable characters")
    with visited(context.obj, data) as queue:
        life_s = None if expires is None else expires.seconds
        key, token = _keys(queue).create(name, set(scope or [Scope.JOBS]), life_s)
    if as_json:
        print_json({**_fields(key), "key": token})
        return
    say(token)
    say(f"This is key {key.id}; it is shown only now. Clients take it from VOXELSMITH_API_KEY.", err=True)


@app.command("list")
def list_keys(context: typer.Context, data: o.Data = None, as_json: o.Json = False) -> None:
    """All keys with their states, never the keys themselves."""
    with visited(context.obj, data) as queue:
        keys = [_fields(key) for key in _keys(queue).list()]
    if as_json:
        print_json(keys)
        return
    print_table(["id", "name", "scopes", "state", "created", "expires"], [_row(fields) for fields in keys])


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `voxelsmith keys list` shows it.")],
    data: o.Data = None,
) -> None:
    """Shut a key out from its next request on. Its jobs stay until they expire."""
    with visited(context.obj, data) as queue:
        _keys(queue).revoke(key_id)
    say(f"revoked {key_id}")


@app.command("webhook-secret")
def webhook_secret(
    context: typer.Context,
    key_id: Annotated[
        str,
        typer.Argument(metavar="[ID]", help="Of a key; without, of a service that has no keys."),
    ] = NOBODY,
    new: Annotated[bool, typer.Option("--new", help="Make another one; receivers must have it from now on.")] = False,
    data: o.Data = None,
) -> None:
    """Print the secret that the webhooks of a key's jobs are signed with, for their receivers."""
    with visited(context.obj, data) as queue:
        if key_id != NOBODY:
            _keys(queue).get(key_id)
        secrets = Secrets(queue.redis, queue.settings)
        say(secrets.renew(key_id) if new else secrets.of(key_id))


def _keys(queue: JobQueue) -> ApiKeys:
    return ApiKeys(queue.redis, queue.settings)


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "state": key.state(datetime.now(UTC)),
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "expires_at": key.expires_at and key.expires_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(timespec="seconds"),
    }


def _row(fields: dict[str, Any]) -> list[str]:
    facts = (fields["id"], fields["name"], " ".join(fields["scopes"]), fields["state"])
    return [*facts, fields["created_at"], fields["expires_at"] or "never"]
