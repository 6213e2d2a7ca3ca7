-- List the newest version of every trigger, by name.
-- Takes:   after text, the name after which the page begins (null for the first page); size integer.
-- Returns: per trigger (name, version, kind, document, created_at).
-- Touches: nothing; reads definitions.
select d.name, d.version, d.kind, d.document, d.created_at
from fencepost.definitions as d
where d.kind = 'trigger' and d.is_newest and (%(after)s::text is null or d.name > %(after)s::text)
order by d.name
limit %(size)s::integer
