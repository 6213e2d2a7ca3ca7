-- List the teams of a user.
-- Takes:   member.
-- Returns: per team (team).
-- Touches: nothing; reads people_members.
select m.team
from fencepost.people_members as m
where m.member = %(member)s::text
order by m.team
