-- Find a partner and its contacts.
-- Takes:   code.
-- Returns: per contact (code, description, contact, contact_description); one row with null contact for a partner
--          without contacts; no row when there is no such partner.
-- Touches: nothing; reads people_partners, people_contacts.
select p.code, p.description, c.code as contact, c.description as contact_description
from fencepost.people_partners as p
left join fencepost.people_contacts as c on c.partner = p.code
where p.code = %(code)s::text
order by c.code
