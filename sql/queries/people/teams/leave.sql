-- Remove a user from all teams.
-- Takes:   member.
-- Returns: nothing.
-- Touches: people_members.
delete from fencepost.people_members as m
where m.member = %(member)s::text
