"""Teams and their members; partners and their contacts."""

from __future__ import annotations

from collections.abc import Sequence

from fencepost.errors import invalid_params
from fencepost.vocabularies.people.store.directory import DirectoryStore, Partner, Team


class Directory:
    """Teams and partners that tasks refer to."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store

    async def put_team(self, team: Team) -> Team:
        """Create or replace a team."""
        await self._store.put_team(team)
        return team

    async def find_team(self, code: str) -> Team | None:
        """Return a team, or None."""
        return await self._store.find_team(code)

    async def get_team(self, code: str, field: str) -> Team:
        """Return a team; raise Refusal (`invalid-params`) for `field` when there is none."""
        team = await self._store.find_team(code)
        if team is None:
            raise invalid_params(f"there is no team {code!r}", field)
        return team

    async def is_member(self, user: str, team: str) -> bool:
        """Return whether a user is a member of a team."""
        return team in await self._store.teams_of(user)

    async def save_team_memberships(self, user: str, teams: Sequence[str]) -> Sequence[str]:
        """Set the teams of a user; raise Refusal (`invalid-params`) for a team that does not exist."""
        return await self._store.save_team_memberships(user, teams)

    async def put_partner(self, partner: Partner) -> Partner:
        """Create or replace a partner with its contacts."""
        await self._store.put_partner(partner)
        return partner

    async def check_contact(self, partner: str | None, contact: str | None) -> None:
        """Raise Refusal (`invalid-params`) for an unknown partner, or a contact of another partner."""
        if partner is None:
            if contact is not None:
                raise invalid_params("a contact needs a partner, and none is given", "partnerContact")
            return
        found = await self._store.find_partner(partner)
        if found is None:
            raise invalid_params(f"there is no partner {partner!r}", "partner")
        if contact is not None and contact not in [one.code for one in found.contacts]:
            raise invalid_params(f"partner {partner!r} has no contact {contact!r}", "partnerContact")
