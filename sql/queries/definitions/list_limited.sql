-- List the names of definitions that have a concurrency limit.
-- Takes:   nothing.
-- Returns: per definition (name).
-- Touches: nothing; reads definitions.
select d.name
from fencepost.definitions as d
where d.is_newest and d.concurrency_limit is not null
