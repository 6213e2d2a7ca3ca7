-- Keep tasks from being created until the transaction ends.
-- Takes:   nothing.
-- Returns: nothing.
-- Touches: a table lock, which waits for creates under way: of the table that creates alone write to, so that what is
--          alive goes on. Locking the definition's row in every create instead would make all creates of one definition
--          write to that one row.
lock table fencepost.task_names in share row exclusive mode
