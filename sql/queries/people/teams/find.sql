-- Find a team.
-- Takes:   code.
-- Returns: one row (code, description, department), or no row.
-- Touches: nothing; reads people_teams.
select t.code, t.description, t.department
from fencepost.people_teams as t
where t.code = %(code)s::text
