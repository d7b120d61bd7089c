-- Calls with what was learned of them later. The join takes time that few questions need: `calls` is without it.

CREATE OR REPLACE VIEW {database}.calls_adjusted
SQL SECURITY INVOKER
AS SELECT
    calls.*,
    ifNull(adjusted.delta_usd, 0) AS adjustment_usd,
    if(
        cost_usd IS NULL AND ifNull(adjusted.made_known, 0) = 0,
        NULL,
        ifNull(cost_usd, 0) + ifNull(adjusted.delta_usd, 0)
    ) AS adjusted_usd
FROM {database}.calls AS calls
LEFT JOIN
(
    SELECT
        tenant_id,
        toDate(produced_at) AS day,
        request_id,
        attempt_id,
        sum(delta_usd) AS delta_usd,
        countIf(before_usd IS NULL) AS made_known
    FROM {database}.adjustments FINAL
    GROUP BY tenant_id, day, request_id, attempt_id
) AS adjusted
    ON calls.tenant_id = adjusted.tenant_id AND calls.day = adjusted.day
    AND calls.request_id = adjusted.request_id AND calls.attempt_id = adjusted.attempt_id;

-- One row per request and day: all its attempts folded. The answer's columns are those of the attempt that gave it, and
-- `status` is NULL while there is none. One that failed and was given back has ended twice: the later end counts.
CREATE OR REPLACE VIEW {database}.requests
SQL SECURITY INVOKER
AS WITH argMaxIf(
    (c.model, c.provider, c.deployment, c.route, c.status, c.error_class, c.cache),
    ifNull(c.published_at, c.produced_at),
    c.is_final
) AS ending
SELECT
    c.day AS day,
    c.tenant_id AS tenant_id,
    c.root_request_id AS request_id,
    min(c.produced_at) AS produced_at,
    any(c.user_id) AS user_id,
    any(c.session_id) AS session_id,
    any(c.feature) AS feature,
    any(c.labels) AS labels,
    any(c.model_requested) AS model_requested,
    ending.1 AS model,
    ending.2 AS provider,
    ending.3 AS deployment,
    ending.4 AS route,
    ending.5 AS status,
    ending.6 AS error_class,
    ending.7 AS cache,
    countIf(c.attempt_no > 0) AS attempts,
    maxIf(c.fallback_index, c.is_final) > 0 AS fallback_used,
    sum(c.input_tokens) AS input_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.adjusted_usd) AS cost_usd,
    sumIf(c.adjusted_usd, NOT (c.is_final AND ifNull(c.status, '') = 'ok')) AS wasted_usd,
    sum(c.saved_usd) AS saved_usd,
    countIf(c.adjusted_usd IS NULL) AS cost_unknown,
    min(c.queue_ms) AS queue_ms,
    sum(c.provider_ms) AS provider_ms,
    maxIf(c.total_ms, c.is_final) AS total_ms
FROM {database}.calls_adjusted AS c
GROUP BY day, tenant_id, request_id;

-- Attempts that did not give their request's answer, by why.
CREATE OR REPLACE VIEW {database}.waste
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    provider,
    model,
    multiIf(
        is_shadow, 'shadow',
        error_class IS NOT NULL, assumeNotNull(error_class),
        is_final, 'request failed',
        phase = 'priced', 'another attempt answered',
        'not settled'
    ) AS reason,
    count() AS attempts,
    sum(adjusted_usd) AS wasted_usd,
    countIf(adjusted_usd IS NULL) AS cost_unknown
FROM {database}.calls_adjusted
WHERE attempt_no > 0 AND NOT (is_final AND ifNull(status, '') = 'ok')
GROUP BY day, tenant_id, provider, model, reason;

-- Rows that are not backed by the provider's own count and our price, and that no reconciliation has settled; and what
-- the provider billed of which we have no row.
CREATE OR REPLACE VIEW {database}.unreconciled
SQL SECURITY INVOKER
AS SELECT
    c.day AS day,
    c.produced_at AS produced_at,
    c.tenant_id AS tenant_id,
    c.provider AS provider,
    c.deployment AS deployment,
    c.model AS model,
    c.request_id AS request_id,
    c.attempt_id AS attempt_id,
    c.provider_request_id AS provider_request_id,
    multiIf(
        c.cost_status != 'priced', toString(c.cost_status),
        c.usage_source = 'partial', 'partial usage',
        'no provider id'
    ) AS reason,
    CAST(c.adjusted_usd AS Nullable(Decimal(38, 9))) AS amount_usd,
    c.estimated_usd AS estimated_usd
FROM {database}.calls_adjusted AS c
LEFT ANTI JOIN
(
    SELECT tenant_id, toDate(produced_at) AS day, request_id, attempt_id
    FROM {database}.adjustments FINAL
    WHERE reason != 'withdrawn' AND (kind = 'reconcile' OR before_usd IS NULL)
) AS settled
    ON c.tenant_id = settled.tenant_id AND c.day = settled.day
    AND c.request_id = settled.request_id AND c.attempt_id = settled.attempt_id
WHERE c.attempt_no > 0
    AND (c.cost_status != 'priced' OR c.usage_source = 'partial'
        OR (c.provider_request_id IS NULL AND c.usage_source != 'none'))
UNION ALL
SELECT
    toDate(produced_at) AS day,
    produced_at,
    tenant_id,
    provider,
    deployment,
    CAST(model AS String) AS model,
    request_id,
    attempt_id,
    provider_request_id,
    'not in our rows' AS reason,
    CAST(delta_usd AS Nullable(Decimal(38, 9))) AS amount_usd,
    NULL AS estimated_usd
FROM {database}.adjustments AS a FINAL
WHERE a.attempt_id = '' AND a.reason != 'withdrawn' OR a.reason = 'the provider charges a call that we have no row of';

-- Accounts of budgets, copied here by whoever reads them from Kafka: the newest says it.
CREATE TABLE IF NOT EXISTS {database}.budget_accounts
(
    tenant_id LowCardinality(String),
    budget LowCardinality(String),
    subject String COMMENT 'the user or label value it is for; empty for the tenant as a whole',
    period String COMMENT 'UTC: 2026-11-18 or 2026-11',
    spent_usd Decimal(18, 9),
    guessed_usd Decimal(18, 9) COMMENT 'of what was spent, the part that is estimated',
    limit_usd Decimal(18, 9),
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (tenant_id, budget, subject, period);

CREATE OR REPLACE VIEW {database}.budget_status
SQL SECURITY INVOKER
AS SELECT
    tenant_id,
    budget,
    subject,
    period,
    spent_usd,
    guessed_usd,
    limit_usd,
    limit_usd - spent_usd AS left_usd,
    if(limit_usd = 0, NULL, toFloat64(spent_usd) / toFloat64(limit_usd)) AS used_share,
    if(
        length(period) = 7,
        toDateTime(addMonths(toDate(concat(period, '-01')), 1), 'UTC'),
        toDateTime(addDays(toDateOrZero(period), 1), 'UTC')
    ) AS resets_at,
    at
FROM {database}.budget_accounts FINAL;
