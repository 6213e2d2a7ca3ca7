-- Keep others from saving the same user's teams, or the same partner, until the transaction ends.
-- Takes:   name, what is saved.
-- Returns: nothing.
-- Touches: an advisory lock. Run before teams/leave.sql and partners/put.sql, which must see what others saved before.
select pg_advisory_xact_lock(hashtextextended('fencepost.people ' || %(name)s::text, 0))::text
