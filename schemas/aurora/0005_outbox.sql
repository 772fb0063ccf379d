-- Notifications and totals.

-- detail_type names the notification of a change; null for domains that notify nobody.
CREATE OR REPLACE FUNCTION consorcio.detail_type(p_domain text, p_change jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT CASE p_domain
    WHEN 'pedidos' THEN CASE p_change ->> 'operation' WHEN 'insert' THEN 'PedidoCriado' WHEN 'delete' THEN 'PedidoRemovido' ELSE 'PedidoAlterado' END
    WHEN 'produtos' THEN CASE WHEN p_change ->> 'operation' = 'delete' THEN 'ProdutoRemovido'
      WHEN p_change #> '{after,disponivel}' = 'true' THEN 'ProdutoDisponivel' ELSE 'ProdutoIndisponivel' END
    END
$$;

-- detail_of writes what a notification says: a function of the change, and small whatever the row holds.
CREATE OR REPLACE FUNCTION consorcio.detail_of(p_domain text, p_id text, p_change jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT jsonb_build_object('id', p_id, 'operation', p_change -> 'operation', 'key', p_change -> 'key',
    'position', p_change -> 'position', 'committed_at', p_change -> 'committed_at',
    'row', CASE WHEN p_change ->> 'operation' <> 'delete' THEN (
      SELECT jsonb_object_agg(k, left(p_change #>> ARRAY['after', k], 1000))
      FROM unnest(CASE p_domain
        WHEN 'pedidos' THEN ARRAY['numero', 'cliente_id', 'produto_id', 'status', 'valor', 'valor_entrada', 'parcelas', 'data_pedido']
        ELSE ARRAY['codigo', 'nome', 'categoria', 'disponivel', 'prazo_meses', 'valor_bem', 'abre_as', 'fecha_as', 'vigencia_inicio', 'vigencia_fim'] END) k) END)::text
$$;

-- notify writes a notification for each change that has none yet, whether or not the change is the
-- newest of its row, and gives those that are not published, up to what fits into a state's output. Rows of
-- snapshots, initial or incremental, are no news and notify nobody.
CREATE OR REPLACE FUNCTION consorcio.notify(p_domain text, p_changes jsonb[]) RETURNS TABLE (id text, entry text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
  v_ids text[];
BEGIN
  IF consorcio.detail_type(p_domain, '{"operation": "delete"}') IS NULL THEN
    RETURN;
  END IF;
  WITH news AS (
    SELECT consorcio.identity_of(c) AS id, c AS change, n FROM unnest(p_changes) WITH ORDINALITY u (c, n)
    WHERE c ->> 'operation' <> 'snapshot' AND (c ->> 'snapshot') IS DISTINCT FROM 'true'
  ), inserted AS (
    INSERT INTO consorcio.outbox (id, domain, detail_type, detail)
    SELECT news.id, p_domain, consorcio.detail_type(p_domain, change), consorcio.detail_of(p_domain, news.id, change)
    FROM news ORDER BY news.id
    ON CONFLICT DO NOTHING
  )
  SELECT array_agg(news.id ORDER BY n) INTO v_ids FROM news;
  RETURN QUERY
    SELECT s.id, s.entry FROM (
      SELECT o.id, e.entry, sum(octet_length(e.entry)) OVER (ORDER BY o.sequence) AS bytes
      FROM consorcio.outbox o, consorcio.entry_of(o) AS e (entry)
      WHERE o.id = ANY (v_ids) AND o.published_at IS NULL
    ) s WHERE s.bytes <= 60000;
END $$;

-- entry_of writes an entry of EventBridge's PutEvents, less the bus, which the state machine adds.
CREATE OR REPLACE FUNCTION consorcio.entry_of(p_row consorcio.outbox) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT json_build_object('Source', 'consorcio.' || p_row.domain, 'DetailType', p_row.detail_type, 'Detail', p_row.detail)::text
$$;

-- outbox_published marks notifications that EventBridge has taken; p_ids is a JSON array of ids.
CREATE OR REPLACE FUNCTION consorcio.outbox_published(p_ids jsonb) RETURNS int
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH due AS (
    SELECT o.id FROM consorcio.outbox o WHERE o.id IN (SELECT jsonb_array_elements_text(p_ids)) AND o.published_at IS NULL
    ORDER BY o.id FOR UPDATE
  ), marked AS (
    UPDATE consorcio.outbox o SET published_at = now() FROM due WHERE o.id = due.id RETURNING 1
  )
  SELECT count(*)::int FROM marked
$$;

-- outbox_take gives up to p_most notifications that have been unpublished for p_age or longer, the
-- oldest first, and keeps other publishers off them for as long. What is taken and never marked is
-- given again.
CREATE OR REPLACE FUNCTION consorcio.outbox_take(p_most int, p_age interval) RETURNS TABLE (id text, entry text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  WITH due AS (
    SELECT o.id FROM consorcio.outbox o
    WHERE o.published_at IS NULL AND o.created_at <= now() - p_age AND (o.taken_at IS NULL OR o.taken_at <= now() - p_age)
    ORDER BY o.attempts, o.sequence LIMIT p_most FOR UPDATE SKIP LOCKED
  ), taken AS (
    UPDATE consorcio.outbox o SET taken_at = now(), attempts = o.attempts + 1 FROM due WHERE o.id = due.id RETURNING o.*
  )
  SELECT t.id, consorcio.entry_of(ROW(t.*)::consorcio.outbox) FROM taken t ORDER BY t.sequence
$$;

-- recompute_totals computes what the orders of these clients and products come to. The locks come
-- first and in order: of two batches with orders of one client the second waits, and then sees what
-- the first has committed, since each statement of a volatile function has a snapshot of its own.
CREATE OR REPLACE FUNCTION consorcio.recompute_totals(p_clientes bigint[], p_produtos text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('consorcio.totais_cliente'), k) FROM (
    SELECT DISTINCT hashtext(c::text) AS k FROM unnest(p_clientes) c ORDER BY k) s;
  PERFORM pg_advisory_xact_lock(hashtext('consorcio.vendas_produto'), k) FROM (
    SELECT DISTINCT hashtext(p) AS k FROM unnest(p_produtos) p ORDER BY k) s;
  INSERT INTO consorcio.totais_cliente (cliente_id, pedidos, pedidos_cancelados, valor_total, valor_entrada_total)
  SELECT c, count(p.id) FILTER (WHERE p.status <> 'CANCELADO'), count(p.id) FILTER (WHERE p.status = 'CANCELADO'),
    coalesce(sum(p.valor) FILTER (WHERE p.status <> 'CANCELADO'), 0), coalesce(sum(p.valor_entrada) FILTER (WHERE p.status <> 'CANCELADO'), 0)
  FROM (SELECT DISTINCT c FROM unnest(p_clientes) c WHERE c IS NOT NULL) u LEFT JOIN consorcio.pedidos p ON p.cliente_id = c AND NOT p.deleted
  GROUP BY c ORDER BY c
  ON CONFLICT (cliente_id) DO UPDATE SET pedidos = excluded.pedidos, pedidos_cancelados = excluded.pedidos_cancelados,
    valor_total = excluded.valor_total, valor_entrada_total = excluded.valor_entrada_total, applied_at = now();
  INSERT INTO consorcio.vendas_produto (produto_id, pedidos, valor_total)
  SELECT i, count(p.id), coalesce(sum(p.valor), 0)
  FROM (SELECT DISTINCT i FROM unnest(p_produtos) i WHERE i IS NOT NULL) u LEFT JOIN consorcio.pedidos p ON p.produto_id = i AND NOT p.deleted AND p.status <> 'CANCELADO'
  GROUP BY i ORDER BY i
  ON CONFLICT (produto_id) DO UPDATE SET pedidos = excluded.pedidos, valor_total = excluded.valor_total, applied_at = now();
END $$;

-- Totals follow the orders by triggers, so that a repair by hand keeps them right as well.
CREATE OR REPLACE FUNCTION consorcio.pedidos_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM consorcio.recompute_totals(array_agg(cliente_id), array_agg(produto_id)) FROM fresh;
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION consorcio.pedidos_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  PERFORM consorcio.recompute_totals(array_agg(cliente_id), array_agg(produto_id))
  FROM (SELECT cliente_id, produto_id FROM fresh UNION SELECT cliente_id, produto_id FROM former) x;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER pedidos_inserted AFTER INSERT ON consorcio.pedidos
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION consorcio.pedidos_inserted();
CREATE OR REPLACE TRIGGER pedidos_updated AFTER UPDATE ON consorcio.pedidos
  REFERENCING OLD TABLE AS former NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION consorcio.pedidos_updated();
