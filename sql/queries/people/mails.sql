-- The mail messages of a people's task.
-- Takes:   seq bigint.
-- Returns: per link (mail_message).
-- Touches: nothing; reads people_mails.
select m.mail_message
from fencepost.people_mails as m
where m.task_seq = %(seq)s::bigint
order by m.mail_message
