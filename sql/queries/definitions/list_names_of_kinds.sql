-- List the names of definitions of some kinds.
-- Takes:   kinds text[].
-- Returns: per definition (name).
-- Touches: nothing; reads definitions.
select d.name
from fencepost.definitions as d
where d.is_newest and d.kind = any(%(kinds)s::text[])
order by d.name
