-- Keep subscriptions from being made by others until the transaction ends, and make some.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock, as in block_subscriptions.sql, and that of subscriptions/block_events.sql. Both at once, because two that had the first
--          would wait for each other when they took the second.
lock table fencepost.subscription_gate in share row exclusive mode
