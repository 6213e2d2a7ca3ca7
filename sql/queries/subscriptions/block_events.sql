-- Let no event be taken until the transaction ends: it would not see the subscription that this makes.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock, which waits for events under way. Run before everything else in its transaction: an event may wait
--          for a workflow while it keeps us waiting.
lock table fencepost.subscription_gate in share mode
