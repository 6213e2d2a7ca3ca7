-- Block events until the transaction ends: they would not see the subscription that it creates.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock, which waits for events in progress. Run first in its transaction: an event may wait for a
--          workflow while this transaction waits for the event.
lock table fencepost.subscription_gate in share mode
