-- Count the rows of each file, and those of them that the database has unchanged.
-- Takes:   nothing; `expected` is filled.
-- Returns: per file that has rows (file, expected, present).
-- Touches: reads expected, demo.resources.
with present as (
    -- With several rows of one key the table has the last one loaded, which may be any of them.
    select distinct e.resource_type, e.id
    from expected as e
    join demo.resources as r on r.resource_type = e.resource_type and r.id = e.id
    where r.resource = e.resource
)
select e.file, count(*) as expected, count(p.id) as present
from expected as e
left join present as p on p.resource_type = e.resource_type and p.id = e.id
group by e.file
