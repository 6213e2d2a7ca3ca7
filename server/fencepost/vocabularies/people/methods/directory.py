"""Methods of teams and their members, and of partners and their contacts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from fencepost.engine.context import Context
from fencepost.errors import invalid_params
from fencepost.rpc.registry import Registry
from fencepost.vocabularies.people.directory import Directory
from fencepost.vocabularies.people.methods.params import UserParams, user_of
from fencepost.vocabularies.people.statuses import Code8, Department, Key, Text, User
from fencepost.vocabularies.people.store.directory import Contact, Partner, Team

directory_methods = Registry()


class WFTeam(msgspec.Struct, frozen=True, rename="camel", tag_field="resourceType", tag="WFTeam"):
    """A team."""

    code: str
    description: str
    department: str | None


class ContactParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact."""

    code: Key
    description: Text = ""


class TeamParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A team (`WFTeam`)."""

    code: Code8
    description: Text
    department: Department | None = None


class TeamCodeParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code of the team."""

    code: Annotated[str, Meta(max_length=100)]


class PartOfParams(UserParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The user, and the code of the team."""

    team: Annotated[str, Meta(max_length=100)]


class SaveParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The user, and all teams of the user."""

    user: User
    teams: Annotated[list[Code8], Meta(max_length=1000)]


class PartnerParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A partner, with all its contacts."""

    code: Key
    description: Text = ""
    contacts: Annotated[list[ContactParams], Meta(max_length=1000)] = []


class TeamResult(msgspec.Struct, frozen=True):
    """A team, or null when there is none."""

    resource: WFTeam | None


class PartOfResult(msgspec.Struct, frozen=True):
    """True when the user is a member of the team."""

    result: bool


class TeamsResult(msgspec.Struct, frozen=True):
    """The teams that a user is a member of (`WFTeamMember`)."""

    user: str
    teams: list[str]


class PartnerResult(msgspec.Struct, frozen=True):
    """A partner."""

    resource: PartnerParams


@directory_methods.method("awf.people/put-team", example={"code": "HR", "description": "Human resources"})
async def put_team(context: Context, params: TeamParams) -> TeamResult:
    """Create or replace a team."""
    team = Team(params.code, params.description, params.department)
    return TeamResult(WFTeam(*await context.of(Directory).put_team(team)))


@directory_methods.method("awf.people/find-team-by-code", example={"code": "HR"})
async def find_team_by_code(context: Context, params: TeamCodeParams) -> TeamResult:
    """Return a team, or null when there is none."""
    team = await context.of(Directory).find_team(params.code)
    return TeamResult(None if team is None else WFTeam(*team))


@directory_methods.method("awf.people/is-user-part-of-the-team", example={"user": "ann", "team": "HR"})
async def is_user_part_of_the_team(context: Context, params: PartOfParams) -> PartOfResult:
    """Return whether a user is a member of a team."""
    return PartOfResult(await context.of(Directory).is_member(user_of(context, params), params.team))


@directory_methods.method("awf.people/save-team-memberships", example={"user": "ann", "teams": ["HR"]})
async def save_team_memberships(context: Context, params: SaveParams) -> TeamsResult:
    """Set the teams of a user; other memberships are removed."""
    teams = await context.of(Directory).save_team_memberships(params.user, params.teams)
    return TeamsResult(params.user, [*teams])


@directory_methods.method(
    "awf.people/put-partner", example={"code": "acme", "contacts": [{"code": "wile", "description": "E. Coyote"}]}
)
async def put_partner(context: Context, params: PartnerParams) -> PartnerResult:
    """Create or replace a partner with its contacts; other contacts are removed."""
    seen: set[str] = set()
    for place, contact in enumerate(params.contacts):
        if contact.code in seen:
            raise invalid_params(f"contact {contact.code!r} is listed twice", f"contacts[{place}].code")
        seen.add(contact.code)
    contacts = [Contact(contact.code, contact.description) for contact in params.contacts]
    await context.of(Directory).put_partner(Partner(params.code, params.description, contacts))
    return PartnerResult(params)
