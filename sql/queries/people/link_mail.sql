-- Link a mail message to a people's task.
-- Takes:   seq bigint; mail_message.
-- Returns: nothing.
-- Touches: people_mails. Run behind save_fields.sql. The same again is the same link.
insert into fencepost.people_mails (task_seq, mail_message)
values (%(seq)s::bigint, %(mail_message)s::text)
on conflict (task_seq, mail_message) do nothing
