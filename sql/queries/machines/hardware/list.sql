-- List hardware records, by id.
-- Takes:   after text, the id after which the page begins (null for the first page); size integer.
-- Returns: per machine (id, record, pushed_at).
-- Touches: nothing; reads hardware.
select h.id, h.record, h.pushed_at
from fencepost.hardware as h
where %(after)s::text is null or h.id > %(after)s::text
order by h.id
limit %(size)s::integer
