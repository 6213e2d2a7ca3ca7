-- List schedules that are due.
-- Takes:   batch integer, the most to find; now.
-- Returns: per schedule (name, version, document, due_at, now), the longest overdue first.
-- Touches: nothing; reads schedules, definitions.
select
    s.name, s.version, d.document, s.due_at, coalesce(%(now)s::timestamptz, statement_timestamp()) as now
from fencepost.schedules as s
join fencepost.definitions as d on d.name = s.name and d.version = s.version
where s.starts_at <= coalesce(%(now)s::timestamptz, statement_timestamp())
order by s.starts_at, s.name
limit %(batch)s::integer
