-- Find one version of a definition, or its newest.
-- Takes:   name; version integer, null for the newest.
-- Returns: one row (name, version, kind, document, created_at) or no row. A deleted definition has no newest version;
--          its versions stay readable for the tasks that ran under them.
-- Touches: nothing; reads definitions.
select d.name, d.version, d.kind, d.document, d.created_at
from fencepost.definitions as d
where d.name = %(name)s::text
    and case when %(version)s::integer is null then d.is_newest else d.version = %(version)s::integer end
