-- List schedules and their states, by name.
-- Takes:   name, the only one wanted (null for all); after text, the name after which the page begins (null for the
--          first page); size integer.
-- Returns: per schedule (name, version, document, due_at, starts_at, paused_at, last_schedule, last_status,
--          last_reason, last_reference).
-- Touches: nothing; reads schedules, definitions.
select
    s.name, s.version, d.document, s.due_at, s.starts_at, s.paused_at, s.last_schedule, s.last_status, s.last_reason,
    s.last_reference
from fencepost.schedules as s
join fencepost.definitions as d on d.name = s.name and d.version = s.version
where (%(name)s::text is null or s.name = %(name)s::text)
    and (%(after)s::text is null or s.name > %(after)s::text)
order by s.name
limit %(size)s::integer
