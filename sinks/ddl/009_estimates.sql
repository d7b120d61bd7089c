-- What a call comes to if it was billed, where nobody here knows whether it was. Beside the total, so that no sum has it:
-- the provider's record says what is owed, and an adjustment writes that down.

ALTER TABLE {database}.call_rows ADD COLUMN IF NOT EXISTS
    cost_estimated_usd Nullable(Decimal(18, 9)) CODEC(ZSTD(1)) AFTER cost_charged_usd;
