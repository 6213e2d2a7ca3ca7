-- List the names of all definitions, to suggest the nearest one.
-- Takes:   nothing.
-- Returns: per definition (name), at most 10,000.
-- Touches: nothing; reads definitions.
select d.name
from fencepost.definitions as d
where d.is_newest
order by d.name
limit 10000
