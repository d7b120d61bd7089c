-- What people ask: days that were rolled up as they were, stale ones from the rows. Every column that counts or sums may
-- be summed again. `cost_usd` adds up what is known, adjustments included, and is NULL where nothing is; `cost_unknown`
-- counts the attempts it leaves out. Filter on `day`, also where there is an `hour`: it is what is indexed.

-- Money and tokens per UTC day of the request.
CREATE OR REPLACE VIEW {database}.cost_daily
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    user_id,
    feature,
    model,
    provider,
    requests,
    attempts,
    uncached_input_tokens,
    cache_read_tokens,
    cache_write_5m_tokens,
    cache_write_1h_tokens,
    image_input_tokens,
    audio_input_tokens,
    text_output_tokens,
    reasoning_tokens,
    audio_output_tokens,
    cost_usd,
    charged_usd,
    list_cost_usd,
    wasted_usd,
    saved_usd,
    cost_unknown,
    unpriced,
    unknown_billable,
    estimated
FROM {database}.call_days FINAL
ARRAY JOIN
    spending.user_id AS user_id,
    spending.feature AS feature,
    spending.model AS model,
    spending.provider AS provider,
    spending.requests AS requests,
    spending.attempts AS attempts,
    spending.uncached_input_tokens AS uncached_input_tokens,
    spending.cache_read_tokens AS cache_read_tokens,
    spending.cache_write_5m_tokens AS cache_write_5m_tokens,
    spending.cache_write_1h_tokens AS cache_write_1h_tokens,
    spending.image_input_tokens AS image_input_tokens,
    spending.audio_input_tokens AS audio_input_tokens,
    spending.text_output_tokens AS text_output_tokens,
    spending.reasoning_tokens AS reasoning_tokens,
    spending.audio_output_tokens AS audio_output_tokens,
    spending.cost_usd AS cost_usd,
    spending.charged_usd AS charged_usd,
    spending.list_cost_usd AS list_cost_usd,
    spending.wasted_usd AS wasted_usd,
    spending.saved_usd AS saved_usd,
    spending.cost_unknown AS cost_unknown,
    spending.unpriced AS unpriced,
    spending.unknown_billable AS unknown_billable,
    spending.estimated AS estimated
WHERE (tenant_id, day) NOT IN (SELECT tenant_id, day FROM {database}.stale_days)
UNION ALL
SELECT
    day,
    tenant_id,
    user_id,
    feature,
    model,
    provider,
    requests,
    attempts,
    uncached_input_tokens,
    cache_read_tokens,
    cache_write_5m_tokens,
    cache_write_1h_tokens,
    image_input_tokens,
    audio_input_tokens,
    text_output_tokens,
    reasoning_tokens,
    audio_output_tokens,
    cost_usd,
    charged_usd,
    list_cost_usd,
    wasted_usd,
    saved_usd,
    cost_unknown,
    unpriced,
    unknown_billable,
    estimated
FROM {database}.spending_of_rows
WHERE (tenant_id, day) IN (SELECT tenant_id, day FROM {database}.stale_days);

-- The same for each value of each label. A request is in as many lines as it has labels: sum over one label only.
CREATE OR REPLACE VIEW {database}.cost_by_label
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    label,
    value,
    requests,
    attempts,
    input_tokens,
    output_tokens,
    cost_usd,
    charged_usd,
    saved_usd,
    cost_unknown
FROM {database}.call_days FINAL
ARRAY JOIN
    labels.label AS label,
    labels.value AS value,
    labels.requests AS requests,
    labels.attempts AS attempts,
    labels.input_tokens AS input_tokens,
    labels.output_tokens AS output_tokens,
    labels.cost_usd AS cost_usd,
    labels.charged_usd AS charged_usd,
    labels.saved_usd AS saved_usd,
    labels.cost_unknown AS cost_unknown
WHERE (tenant_id, day) NOT IN (SELECT tenant_id, day FROM {database}.stale_days)
UNION ALL
SELECT
    day,
    tenant_id,
    label,
    value,
    requests,
    attempts,
    input_tokens,
    output_tokens,
    cost_usd,
    charged_usd,
    saved_usd,
    cost_unknown
FROM {database}.labels_of_rows
WHERE (tenant_id, day) IN (SELECT tenant_id, day FROM {database}.stale_days);

-- How calls ended, per hour. An adjustment is in a line without an outcome. `booked_usd` is the cost, before
-- adjustments, of what has a list price.
CREATE OR REPLACE VIEW {database}.outcomes_hourly
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    hour,
    model,
    provider,
    service_tier,
    status,
    error_class,
    http_status,
    cache,
    rows,
    requests,
    attempts,
    input_tokens,
    output_tokens,
    cost_usd,
    list_cost_usd,
    booked_usd,
    saved_usd,
    cost_unknown
FROM {database}.call_days FINAL
ARRAY JOIN
    outcomes.hour AS hour,
    outcomes.model AS model,
    outcomes.provider AS provider,
    outcomes.service_tier AS service_tier,
    outcomes.status AS status,
    outcomes.error_class AS error_class,
    outcomes.http_status AS http_status,
    outcomes.cache AS cache,
    outcomes.rows AS rows,
    outcomes.requests AS requests,
    outcomes.attempts AS attempts,
    outcomes.input_tokens AS input_tokens,
    outcomes.output_tokens AS output_tokens,
    outcomes.cost_usd AS cost_usd,
    outcomes.list_cost_usd AS list_cost_usd,
    outcomes.booked_usd AS booked_usd,
    outcomes.saved_usd AS saved_usd,
    outcomes.cost_unknown AS cost_unknown
WHERE (tenant_id, day) NOT IN (SELECT tenant_id, day FROM {database}.stale_days)
UNION ALL
SELECT
    day,
    tenant_id,
    hour,
    model,
    provider,
    service_tier,
    status,
    error_class,
    http_status,
    cache,
    rows,
    requests,
    attempts,
    input_tokens,
    output_tokens,
    cost_usd,
    list_cost_usd,
    booked_usd,
    saved_usd,
    cost_unknown
FROM {database}.outcomes_of_rows
WHERE (tenant_id, day) IN (SELECT tenant_id, day FROM {database}.stale_days);

-- What was spent in each minute.
CREATE OR REPLACE VIEW {database}.cost_by_minute
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    minute,
    requests,
    attempts,
    errors,
    input_tokens,
    output_tokens,
    cost_usd,
    cost_unknown
FROM {database}.call_days FINAL
ARRAY JOIN
    minutes.minute AS minute,
    minutes.requests AS requests,
    minutes.attempts AS attempts,
    minutes.errors AS errors,
    minutes.input_tokens AS input_tokens,
    minutes.output_tokens AS output_tokens,
    minutes.cost_usd AS cost_usd,
    minutes.cost_unknown AS cost_unknown
WHERE (tenant_id, day) NOT IN (SELECT tenant_id, day FROM {database}.stale_days)
UNION ALL
SELECT
    day,
    tenant_id,
    minute,
    requests,
    attempts,
    errors,
    input_tokens,
    output_tokens,
    cost_usd,
    cost_unknown
FROM {database}.minutes_of_rows
WHERE (tenant_id, day) IN (SELECT tenant_id, day FROM {database}.stale_days);

-- Behind `latency_hourly`, with the percentiles as arrays.
CREATE OR REPLACE VIEW {database}.latency_of_days
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    hour,
    model,
    route,
    requests,
    total_ms,
    provider_ms,
    added_ms,
    queue_ms,
    first_token_ms,
    stages_p95_ms
FROM {database}.call_days FINAL
ARRAY JOIN
    latency.hour AS hour,
    latency.model AS model,
    latency.route AS route,
    latency.requests AS requests,
    latency.total_ms AS total_ms,
    latency.provider_ms AS provider_ms,
    latency.added_ms AS added_ms,
    latency.queue_ms AS queue_ms,
    latency.first_token_ms AS first_token_ms,
    latency.stages_p95_ms AS stages_p95_ms
WHERE (tenant_id, day) NOT IN (SELECT tenant_id, day FROM {database}.stale_days)
UNION ALL
SELECT
    day,
    tenant_id,
    hour,
    model,
    route,
    requests,
    total_ms,
    provider_ms,
    added_ms,
    queue_ms,
    first_token_ms,
    stages_p95_ms
FROM {database}.latency_of_rows
WHERE (tenant_id, day) IN (SELECT tenant_id, day FROM {database}.stale_days);

-- How long finished requests took: see `latency_of_rows`. Percentiles cannot be summed.
CREATE OR REPLACE VIEW {database}.latency_hourly
SQL SECURITY INVOKER
AS SELECT
    day,
    hour,
    tenant_id,
    model,
    route,
    requests,
    total_ms[1] AS total_p50_ms,
    total_ms[2] AS total_p95_ms,
    total_ms[3] AS total_p99_ms,
    provider_ms[1] AS provider_p50_ms,
    provider_ms[2] AS provider_p95_ms,
    provider_ms[3] AS provider_p99_ms,
    added_ms[1] AS added_p50_ms,
    added_ms[2] AS added_p95_ms,
    added_ms[3] AS added_p99_ms,
    queue_ms[1] AS queue_p50_ms,
    queue_ms[2] AS queue_p95_ms,
    queue_ms[3] AS queue_p99_ms,
    first_token_ms[1] AS first_token_p50_ms,
    first_token_ms[2] AS first_token_p95_ms,
    stages_p95_ms[1] AS validate_p95_ms,
    stages_p95_ms[2] AS limit_p95_ms,
    stages_p95_ms[3] AS cache_p95_ms,
    stages_p95_ms[4] AS route_p95_ms,
    stages_p95_ms[5] AS invoke_p95_ms,
    stages_p95_ms[6] AS postprocess_p95_ms
FROM {database}.latency_of_days;

CREATE OR REPLACE VIEW {database}.cost_hourly
SQL SECURITY INVOKER
AS SELECT
    day,
    hour,
    tenant_id,
    model,
    provider,
    sum(o.requests) AS requests,
    sum(o.attempts) AS attempts,
    sum(o.input_tokens) AS input_tokens,
    sum(o.output_tokens) AS output_tokens,
    sum(o.cost_usd) AS cost_usd,
    sum(o.saved_usd) AS saved_usd,
    sum(o.cost_unknown) AS cost_unknown
FROM {database}.outcomes_hourly AS o
GROUP BY day, hour, tenant_id, model, provider;

-- What went wrong. `share` is of all calls of that tenant to that model in that hour, failed attempts that a fallback
-- made good included.
CREATE OR REPLACE VIEW {database}.errors_hourly
SQL SECURITY INVOKER
AS SELECT
    day,
    hour,
    tenant_id,
    model,
    error_class,
    http_status,
    status,
    errors,
    calls,
    errors / calls AS share
FROM
(
    SELECT
        day,
        hour,
        tenant_id,
        model,
        error_class,
        http_status,
        status,
        sum(rows) AS errors,
        sum(sum(rows)) OVER (PARTITION BY day, hour, tenant_id, model) AS calls
    FROM {database}.outcomes_hourly
    GROUP BY day, hour, tenant_id, model, error_class, http_status, status
)
WHERE error_class IS NOT NULL;

-- Answered requests by where the answer came from.
CREATE OR REPLACE VIEW {database}.cache_hourly
SQL SECURITY INVOKER
AS SELECT
    day,
    hour,
    tenant_id,
    model,
    cache,
    sum(o.requests) AS requests,
    sum(o.saved_usd) AS saved_usd
FROM {database}.outcomes_hourly AS o
WHERE status = 'ok'
GROUP BY day, hour, tenant_id, model, cache;

-- What was not paid: answers from the cache, questions answered together with an equal one, and what a batch or
-- another tier, or a negotiated price, takes off the list price.
CREATE OR REPLACE VIEW {database}.savings
SQL SECURITY INVOKER
AS SELECT
    day,
    tenant_id,
    model,
    multiIf(
        cache = 'coalesced', 'coalescing',
        cache != 'none', 'cache',
        service_tier IN ('batch', 'flex'), 'batch',
        'price'
    ) AS kind,
    sum(o.requests) AS requests,
    sum(if(cache != 'none', o.saved_usd, o.list_cost_usd - o.booked_usd)) AS saved_usd
FROM {database}.outcomes_hourly AS o
GROUP BY day, tenant_id, model, kind
HAVING saved_usd != 0;
