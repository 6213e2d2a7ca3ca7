-- Block the creation of subscriptions until the transaction ends.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock, which waits for subscriptions in progress. Run first in its transaction: a transaction that
--          creates a subscription also takes its table lock first, so nothing that an event needs is held by one that
--          waits here.
lock table fencepost.subscription_gate in row exclusive mode
