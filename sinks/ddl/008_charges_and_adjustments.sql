-- What the tenant is charged where that is not the cost; and what was learned of a call's cost after it was booked.
--
-- An adjustment never changes a call row. It carries what a sum is grouped by, so that nobody has to join. Its id is
-- made of what it says, so that whoever writes it twice has written it once.

ALTER TABLE {database}.call_rows ADD COLUMN IF NOT EXISTS
    cost_charged_usd Nullable(Decimal(18, 9)) CODEC(ZSTD(1)) AFTER cost_list_usd;

CREATE TABLE IF NOT EXISTS {database}.adjustments
(
    adjustment_id String CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'reprice, or reconcile',
    tenant_id LowCardinality(String) COMMENT 'empty for a call that the provider billed and no row is known of',
    produced_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'of the call row; or when the provider had the call',
    request_id String CODEC(ZSTD(1)),
    attempt_id String CODEC(ZSTD(1)),
    provider_request_id Nullable(String) CODEC(ZSTD(1)),
    user_id Nullable(String) CODEC(ZSTD(1)),
    feature LowCardinality(String),
    model LowCardinality(String),
    provider LowCardinality(Nullable(String)),
    deployment LowCardinality(Nullable(String)) COMMENT 'of what no call is known of: those of its account, joined by +',
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    delta_usd Decimal(18, 9) CODEC(ZSTD(1)) COMMENT 'is added to what the call was booked with',
    before_usd Nullable(Decimal(18, 9)) CODEC(ZSTD(1)),
    after_usd Decimal(18, 9) CODEC(ZSTD(1)),
    price_version LowCardinality(Nullable(String)) COMMENT 'the one that gave after_usd',
    charged_at Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)) COMMENT 'when the provider had the call, by its record',
    reason LowCardinality(String),
    run_id String CODEC(ZSTD(1)),
    made_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(made_at)
PARTITION BY toYYYYMM(produced_at)
ORDER BY (tenant_id, toDate(produced_at), request_id, attempt_id, adjustment_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
