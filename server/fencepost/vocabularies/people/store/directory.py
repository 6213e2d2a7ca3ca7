"""Teams with their members, and partners with their contacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from fencepost.errors import invalid_params
from fencepost.store.connection import Connection, fetch
from fencepost.store.database import Database
from fencepost.store.statements import statement


class Team(NamedTuple):
    """A team (`WFTeam`)."""

    code: str
    description: str
    department: str | None


class Contact(NamedTuple):
    """A contact of a partner."""

    code: str
    description: str


class Partner(NamedTuple):
    """A partner that tasks may refer to, and its contacts."""

    code: str
    description: str
    contacts: Sequence[Contact]


class DirectoryStore:
    """The statements of sql/queries/people/teams and sql/queries/people/partners."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_team(self, team: Team) -> None:
        """Create or replace a team."""
        await self._database.fetch(statement("people/teams/put"), team._asdict())

    async def find_team(self, code: str) -> Team | None:
        """Return a team, or None."""
        rows = await self._database.fetch(statement("people/teams/find"), {"code": code})
        return Team._make(rows[0]) if rows else None

    async def teams_of(self, user: str) -> Sequence[str]:
        """Return the teams that a user is a member of."""
        return [
            team for (team,) in await self._database.fetch(statement("people/teams/list_of_user"), {"member": user})
        ]

    async def save_team_memberships(self, user: str, teams: Sequence[str]) -> Sequence[str]:
        """Set the teams of a user; raise Refusal (`invalid-params`) for the first that does not exist."""

        def job(connection: Connection) -> list[str]:
            with connection.transaction():
                fetch(connection, statement("people/lock_record"), {"name": f"user {user}"})
                fetch(connection, statement("people/teams/leave"), {"member": user})
                rows = fetch(connection, statement("people/teams/join"), {"member": user, "teams": list(teams)})
                joined = {team for (team,) in rows}
                for place, team in enumerate(teams):
                    if team not in joined:
                        raise invalid_params(f"there is no team {team!r}", f"teams[{place}]")
                return sorted(joined)

        return await self._database.run(job)

    async def put_partner(self, partner: Partner) -> None:
        """Create or replace a partner with its contacts."""
        contacts = [contact._asdict() for contact in partner.contacts]
        params = {**partner._asdict(), "contacts": orjson.dumps(contacts).decode()}

        def job(connection: Connection) -> None:
            with connection.transaction():
                fetch(connection, statement("people/lock_record"), {"name": f"partner {partner.code}"})
                fetch(connection, statement("people/partners/put"), params)

        await self._database.run(job)

    async def find_partner(self, code: str) -> Partner | None:
        """Return a partner with its contacts, or None."""
        rows = await self._database.fetch(statement("people/partners/find"), {"code": code})
        if not rows:
            return None
        contacts = [Contact(contact, description) for _, _, contact, description in rows if contact is not None]
        return Partner(rows[0][0], rows[0][1], contacts)
