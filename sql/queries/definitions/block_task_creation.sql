-- Block the creation of tasks until the transaction ends.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock, which waits for creates in progress. It is on a table that only creates write to, so that live
--          tasks go on. A lock on the definition's row in each create would make all creates of one definition write to
--          that row.
lock table fencepost.task_names in share row exclusive mode
