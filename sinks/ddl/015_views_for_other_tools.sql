-- For tools that know LiteLLM's spend log: its columns, one row per attempt. Messages and answers are not kept.

CREATE OR REPLACE VIEW {database}.litellm_spend_logs
SQL SECURITY INVOKER
AS SELECT
    attempt_id AS request_id,
    'acompletion' AS call_type,
    '' AS api_key,
    adjusted_usd AS spend,
    input_tokens + output_tokens AS total_tokens,
    input_tokens AS prompt_tokens,
    output_tokens AS completion_tokens,
    coalesce(started_at, produced_at) AS `startTime`,
    coalesce(completed_at, published_at, started_at, produced_at) AS `endTime`,
    first_token_at AS `completionStartTime`,
    total_ms AS request_duration_ms,
    model,
    coalesce(deployment, '') AS model_id,
    model_requested AS model_group,
    coalesce(provider, '') AS custom_llm_provider,
    '' AS api_base,
    '' AS user,
    tenant_id AS team_id,
    coalesce(user_id, '') AS end_user,
    toJSONString(map(
        'request_id', c.request_id,
        'root_request_id', c.root_request_id,
        'cost_status', toString(c.cost_status),
        'price_version', ifNull(toString(c.price_version), ''),
        'route', ifNull(toString(c.route), '')
    )) AS metadata,
    if(cache = 'none', 'False', 'True') AS cache_hit,
    '' AS cache_key,
    toJSONString(arraySort(arrayMap((k, v) -> concat(k, ':', v), mapKeys(labels), mapValues(labels)))) AS request_tags,
    coalesce(session_id, '') AS session_id,
    if(error_class IS NULL, 'success', 'failure') AS status,
    day,
    tenant_id
FROM {database}.calls_adjusted AS c;

-- FOCUS 1.x, the FinOps format for bills: a line per day, tenant, feature, model and provider. `BilledCost` and
-- `EffectiveCost` are what the provider is owed, adjustments included. Lines whose cost nobody knows are 0 here, as the
-- format has no NULL for money, and say so in `x_CostUnknown`.
CREATE OR REPLACE VIEW {database}.focus
SQL SECURITY INVOKER
AS SELECT
    tenant_id AS `SubAccountId`,
    tenant_id AS `SubAccountName`,
    ifNull(sum(c.cost_usd), 0) AS `BilledCost`,
    ifNull(sum(c.cost_usd), 0) AS `EffectiveCost`,
    ifNull(sum(c.cost_usd), 0) AS `ContractedCost`,
    ifNull(sum(c.list_cost_usd), 0) AS `ListCost`,
    'USD' AS `BillingCurrency`,
    toDateTime(toStartOfMonth(day), 'UTC') AS `BillingPeriodStart`,
    toDateTime(addMonths(toStartOfMonth(day), 1), 'UTC') AS `BillingPeriodEnd`,
    toDateTime(day, 'UTC') AS `ChargePeriodStart`,
    toDateTime(day + 1, 'UTC') AS `ChargePeriodEnd`,
    'Usage' AS `ChargeCategory`,
    'Usage-Based' AS `ChargeFrequency`,
    concat(model, ' tokens') AS `ChargeDescription`,
    'AI and Machine Learning' AS `ServiceCategory`,
    coalesce(provider, '') AS `ServiceName`,
    coalesce(provider, '') AS `ProviderName`,
    coalesce(provider, '') AS `PublisherName`,
    coalesce(provider, '') AS `InvoiceIssuerName`,
    model AS `SkuId`,
    model AS `ResourceId`,
    sum(c.uncached_input_tokens + c.cache_read_tokens + c.cache_write_5m_tokens + c.cache_write_1h_tokens
        + c.image_input_tokens + c.audio_input_tokens + c.text_output_tokens + c.reasoning_tokens
        + c.audio_output_tokens) AS `ConsumedQuantity`,
    'Tokens' AS `ConsumedUnit`,
    toJSONString(map('feature', toString(feature))) AS `Tags`,
    sum(c.cost_unknown) AS `x_CostUnknown`,
    day,
    tenant_id
FROM {database}.cost_daily AS c
GROUP BY day, tenant_id, feature, model, provider;
