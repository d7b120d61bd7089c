-- Inserts are not recognised when they are sent again: the log of their tokens is written before the part, so that a
-- crash in between would lose rows. The engine replaces rows that come twice, and the views read FINAL. And what is
-- acknowledged is on the disk: the offsets that are committed then are the last anybody knows of these rows.

ALTER TABLE {database}.call_rows MODIFY SETTING
    non_replicated_deduplication_window = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1;
