-- Make a user a member of teams.
-- Takes:   member; teams text[].
-- Returns: per team that exists (team).
-- Touches: people_members; reads people_teams. Run after leave.sql in one transaction.
insert into fencepost.people_members (member, team)
select %(member)s::text, t.code
from fencepost.people_teams as t
where t.code = any(%(teams)s::text[])
order by t.code
on conflict (member, team) do nothing
returning team
