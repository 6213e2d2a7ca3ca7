-- Save a partner and its contacts; contacts that are left out are deleted.
-- Takes:   code; description; contacts json: [{code, description}].
-- Returns: nothing.
-- Touches: people_partners, people_contacts.
with partner as (
    insert into fencepost.people_partners (code, description)
    values (%(code)s::text, %(description)s::text)
    on conflict (code) do update set description = excluded.description
),
contacts as materialized (
    select c.code, c.description from json_to_recordset(%(contacts)s::json) as c (code text, description text)
),
left_out as (
    delete from fencepost.people_contacts as o
    where o.partner = %(code)s::text and o.code not in (select c.code from contacts as c)
)
insert into fencepost.people_contacts (partner, code, description)
select %(code)s::text, c.code, c.description from contacts as c
on conflict (partner, code) do update set description = excluded.description
