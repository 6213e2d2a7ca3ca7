-- List the names of documents that are not the newest version of a definition.
-- Takes:   documents json, an array of (name, document).
-- Returns: per document (name), in the order of the array.
-- Touches: nothing; reads definitions.
select o.document ->> 'name'
from jsonb_array_elements(%(documents)s::jsonb) with ordinality as o(document, position)
where not exists (
    select from fencepost.definitions as d
    where d.name = o.document ->> 'name' and d.is_newest and d.document::jsonb = o.document -> 'document'
)
order by o.position
