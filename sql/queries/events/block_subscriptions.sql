-- Keep subscriptions from being made until the transaction ends.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock, which waits for subscriptions under way. Run before everything else in its transaction: who makes a
--          subscription takes its lock first as well, so that nobody waits here who holds what an event needs.
lock table fencepost.subscription_gate in row exclusive mode
