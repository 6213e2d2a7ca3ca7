-- Save a team.
-- Takes:   code; description; department.
-- Returns: nothing.
-- Touches: people_teams.
insert into fencepost.people_teams (code, description, department)
values (%(code)s::text, %(description)s::text, %(department)s::text)
on conflict (code) do update set description = excluded.description, department = excluded.department
