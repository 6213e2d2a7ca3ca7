"""Teams and who is part of them; partners and their contacts."""

from __future__ import annotations

from collections.abc import Sequence

from fencepost.errors import invalid_params
from fencepost.vocabularies.people.store.registers import Partner, RegisterStore, Team


class Registers:
    """Teams and partners, which tasks refer to."""

    def __init__(self, store: RegisterStore) -> None:
        self._store = store

    async def put_team(self, team: Team) -> Team:
        """Keep a team."""
        await self._store.put_team(team)
        return team

    async def find_team(self, code: str) -> Team | None:
        """Return a team."""
        return await self._store.find_team(code)

    async def get_team(self, code: str, at: str) -> Team:
        """Return a team; raise Refusal at `at` when there is none."""
        team = await self._store.find_team(code)
        if team is None:
            raise invalid_params(f"there is no team {code!r}", at)
        return team

    async def is_part_of(self, user: str, team: str) -> bool:
        """Whether a user is part of a team."""
        return team in await self._store.teams_of(user)

    async def save_teams_of(self, user: str, teams: Sequence[str]) -> Sequence[str]:
        """Let a user be part of these teams and of no others."""
        return await self._store.save_teams_of(user, teams)

    async def put_partner(self, partner: Partner) -> Partner:
        """Keep a partner, with these contacts and no others."""
        await self._store.put_partner(partner)
        return partner

    async def check_contact(self, partner: str | None, contact: str | None) -> None:
        """Raise Refusal for a partner that is not there, or a contact that is not of this partner."""
        if partner is None:
            if contact is not None:
                raise invalid_params("a contact is one of a partner, and none is given", "$.partnerContact")
            return
        found = await self._store.find_partner(partner)
        if found is None:
            raise invalid_params(f"there is no partner {partner!r}", "$.partner")
        if contact is not None and contact not in [one.code for one in found.contacts]:
            raise invalid_params(f"{contact!r} is no contact of partner {partner!r}", "$.partnerContact")
