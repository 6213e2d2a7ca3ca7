-- List the newest version of every declared definition, by name.
-- Takes:   built_in text[], the names of built-in definitions, which are left out; after text, the name after which the
--          page begins (null for the first page); size integer.
-- Returns: per definition (name, version, kind, document, created_at).
-- Touches: nothing; reads definitions.
select d.name, d.version, d.kind, d.document, d.created_at
from fencepost.definitions as d
where d.is_newest
    and d.name <> all(%(built_in)s::text[])
    and (%(after)s::text is null or d.name > %(after)s::text)
order by d.name
limit %(size)s::integer
