-- Count per file its rows, and those of them that the database has.
-- Takes:   nothing; `expected` is filled.
-- Returns: per file that has rows (file, expected, present).
-- Touches: reads expected, demo.resources.
with present as (
    -- A key that several rows have keeps the last one loaded, whichever that was, so any of them will do.
    select distinct e.resource_type, e.id
    from expected as e
    join demo.resources as r on r.resource_type = e.resource_type and r.id = e.id
    where r.resource = e.resource
)
select e.file, count(*) as expected, count(p.id) as present
from expected as e
left join present as p on p.resource_type = e.resource_type and p.id = e.id
group by e.file
