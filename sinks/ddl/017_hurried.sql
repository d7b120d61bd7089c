-- Whether a call timed out in less time than its route allows: that is its deadline, and not the provider's fault.

ALTER TABLE {database}.call_rows ADD COLUMN IF NOT EXISTS
    hurried Bool AFTER retryable;
