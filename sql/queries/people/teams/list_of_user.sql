-- The teams that a user is part of.
-- Takes:   member.
-- Returns: per team (team).
-- Touches: nothing; reads people_members.
select m.team
from fencepost.people_members as m
where m.member = %(member)s::text
order by m.team
