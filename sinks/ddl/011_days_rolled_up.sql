-- Sums that are kept, so that a month need not be added up anew for every question.
--
-- A day of a tenant is one row of `call_days`, and is replaced as a whole: an attempt that moves from one group to
-- another with its next phase leaves nothing behind in the first. Nothing is added to what is there, so that nothing can
-- be added twice. `knowledge` grows with every phase and adjustment: what was computed from less never replaces what was
-- computed from more, in whatever order the two are written.

ALTER TABLE {database}.call_rows
    ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1));

ALTER TABLE {database}.adjustments
    ADD COLUMN IF NOT EXISTS stored_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1));

ALTER TABLE {database}.call_rows MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';

ALTER TABLE {database}.adjustments MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';

-- Written with the rows themselves, in the same part: no crash can separate them.
ALTER TABLE {database}.call_rows ADD PROJECTION IF NOT EXISTS last_stored
(
    SELECT tenant_id, toDate(produced_at), max(stored_at) GROUP BY tenant_id, toDate(produced_at)
);

ALTER TABLE {database}.adjustments ADD PROJECTION IF NOT EXISTS last_stored
(
    SELECT tenant_id, toDate(produced_at), max(stored_at) GROUP BY tenant_id, toDate(produced_at)
);

ALTER TABLE {database}.call_rows MATERIALIZE PROJECTION last_stored;

ALTER TABLE {database}.adjustments MATERIALIZE PROJECTION last_stored;

CREATE TABLE IF NOT EXISTS {database}.call_days
(
    tenant_id LowCardinality(String),
    day Date,
    knowledge UInt64 COMMENT 'sum of the phases of its rows, and one for each adjustment',
    rolled_up_at DateTime64(3, 'UTC') COMMENT 'before the rows were read',
    spending Array(Tuple(
        user_id Nullable(String),
        feature LowCardinality(String),
        model LowCardinality(String),
        provider LowCardinality(Nullable(String)),
        requests UInt64,
        attempts UInt64,
        uncached_input_tokens UInt64,
        cache_read_tokens UInt64,
        cache_write_5m_tokens UInt64,
        cache_write_1h_tokens UInt64,
        image_input_tokens UInt64,
        audio_input_tokens UInt64,
        text_output_tokens UInt64,
        reasoning_tokens UInt64,
        audio_output_tokens UInt64,
        cost_usd Nullable(Decimal(38, 9)),
        charged_usd Nullable(Decimal(38, 9)),
        list_cost_usd Nullable(Decimal(38, 9)),
        wasted_usd Nullable(Decimal(38, 9)),
        saved_usd Nullable(Decimal(38, 9)),
        cost_unknown Int64,
        unpriced UInt64,
        unknown_billable UInt64,
        estimated UInt64
    )) CODEC(ZSTD(1)),
    labels Array(Tuple(
        label LowCardinality(String),
        value String,
        requests UInt64,
        attempts UInt64,
        input_tokens UInt64,
        output_tokens UInt64,
        cost_usd Nullable(Decimal(38, 9)),
        charged_usd Nullable(Decimal(38, 9)),
        saved_usd Nullable(Decimal(38, 9)),
        cost_unknown Int64
    )) CODEC(ZSTD(1)),
    outcomes Array(Tuple(
        hour DateTime('UTC'),
        model LowCardinality(String),
        provider LowCardinality(Nullable(String)),
        service_tier LowCardinality(Nullable(String)),
        status LowCardinality(Nullable(String)),
        error_class LowCardinality(Nullable(String)),
        http_status Nullable(Int32),
        cache LowCardinality(String),
        rows UInt64,
        requests UInt64,
        attempts UInt64,
        input_tokens UInt64,
        output_tokens UInt64,
        cost_usd Nullable(Decimal(38, 9)),
        list_cost_usd Nullable(Decimal(38, 9)),
        booked_usd Nullable(Decimal(38, 9)),
        saved_usd Nullable(Decimal(38, 9)),
        cost_unknown Int64
    )) CODEC(ZSTD(1)),
    latency Array(Tuple(
        hour DateTime('UTC'),
        model LowCardinality(String),
        route LowCardinality(Nullable(String)),
        requests UInt64,
        total_ms Array(Nullable(Int64)),
        provider_ms Array(Nullable(Int64)),
        added_ms Array(Nullable(Int64)),
        queue_ms Array(Nullable(Int64)),
        first_token_ms Array(Nullable(Int64)),
        stages_p95_ms Array(Nullable(Int64))
    )) CODEC(ZSTD(1)),
    minutes Array(Tuple(
        minute DateTime('UTC'),
        requests UInt64,
        attempts UInt64,
        errors UInt64,
        input_tokens UInt64,
        output_tokens UInt64,
        cost_usd Nullable(Decimal(38, 9)),
        cost_unknown Int64
    )) CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(knowledge)
PARTITION BY toYYYYMM(day)
ORDER BY (tenant_id, day)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- For how long rows are kept: said again by whoever applies these files, together with their TTL, whenever it changes.
CREATE VIEW IF NOT EXISTS {database}.rows_kept
SQL SECURITY INVOKER
AS SELECT toUInt32(36500) AS days;

-- Days of which rows were stored since they were rolled up, or up to ten minutes before: an insert is stamped when it
-- begins and seen when it ends. The views take these days from the rows themselves, so that they are never behind.
--
-- A day that was rolled up is closed once its first rows may be gone: what is left of it says less than its sums do,
-- which stay as they are. What is learned of such a day later is in `ledger` and `adjustments` only.
CREATE OR REPLACE VIEW {database}.stale_days
SQL SECURITY INVOKER
AS SELECT
    stored.tenant_id AS tenant_id,
    stored.day AS day,
    max(stored.last_at) AS last_stored_at
FROM
(
    SELECT tenant_id, toDate(produced_at) AS day, max(stored_at) AS last_at
    FROM {database}.call_rows
    GROUP BY tenant_id, toDate(produced_at)
    UNION ALL
    SELECT tenant_id, toDate(produced_at) AS day, max(stored_at) AS last_at
    FROM {database}.adjustments
    GROUP BY tenant_id, toDate(produced_at)
) AS stored
LEFT JOIN (SELECT tenant_id, day, rolled_up_at FROM {database}.call_days FINAL) AS rolled
    ON stored.tenant_id = rolled.tenant_id AND stored.day = rolled.day
WHERE ifNull(rolled.rolled_up_at, toDateTime64(0, 3, 'UTC')) < stored.last_at + INTERVAL 10 MINUTE
    AND (ifNull(rolled.rolled_up_at, toDateTime64(0, 3, 'UTC')) = toDateTime64(0, 3, 'UTC')
        OR stored.day > (SELECT toDate32(now('UTC')) - days FROM {database}.rows_kept))
GROUP BY tenant_id, day;
