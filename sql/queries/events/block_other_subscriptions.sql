-- Block the creation of subscriptions by other transactions, and allow it in this one.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock: those of block_subscriptions.sql and of subscriptions/block_events.sql at once, because two
--          transactions that hold the first would deadlock when they take the second.
lock table fencepost.subscription_gate in share row exclusive mode
