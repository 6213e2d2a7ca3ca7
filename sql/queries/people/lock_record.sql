-- Let one transaction at a time save the teams of one user, or one partner.
-- Takes:   name of the record.
-- Returns: nothing of use.
-- Touches: an advisory lock. Run before people/teams/leave.sql and people/partners/put.sql, which must see earlier
--          saves by other transactions.
select pg_advisory_xact_lock(hashtextextended('fencepost.people ' || %(name)s::text, 0))::text
