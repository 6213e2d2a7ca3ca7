-- Load a batch of resources; existing rows with the same content stay unchanged.
-- Takes:   resource_types, ids, resources text[] of one length, no key twice.
-- Returns: nothing.
-- Touches: demo.resources.
insert into demo.resources as r (resource_type, id, resource)
select b.resource_type, b.id, b.resource::jsonb
from unnest(%(resource_types)s::text[], %(ids)s::text[], %(resources)s::text[]) as b (resource_type, id, resource)
-- Executors that load the same keys lock them in the same order; in the order of the files they could deadlock.
order by b.resource_type, b.id
on conflict (resource_type, id) do update
set resource = excluded.resource,
    changed_at = excluded.changed_at
where r.resource is distinct from excluded.resource
