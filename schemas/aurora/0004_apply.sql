-- Applying a batch: one call is one statement of a state machine, and one transaction.

DO $$
BEGIN
  IF to_regprocedure('consorcio.merge(jsonb)') IS NULL THEN
    CREATE AGGREGATE consorcio.merge(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}');
  END IF;
END $$;

-- upsert_sql writes the statement that puts rows (jsonb[], as row_of makes them) into a table:
-- reduced to one row for each key, in which for every column the newest carried value stands; then
-- guarded by position, so that nothing older replaces anything newer, whatever the order of delivery.
-- Rows are written in the order of the keys, so that two batches cannot wait for each other.
CREATE OR REPLACE FUNCTION consorcio.upsert_sql(p_table regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
  v_newer constant text := '(excluded.epoch, excluded.commit_lsn, excluded.kafka_offset) > (t.epoch, t.commit_lsn, t.kafka_offset)';
  v_columns text[] := '{}';
  v_sets text[] := '{}';
  v_where text[] := ARRAY[v_newer];
  v_unknown jsonb := '{}';
  v_lob_newer text;
  v_names text[];
  v_types text[];
  v_lobs boolean[];
  v_name text;
BEGIN
  SELECT names, types, lobs INTO v_names, v_types, v_lobs FROM consorcio.columns_of(p_table);
  FOR v_i IN 1 .. cardinality(v_names) LOOP
    v_name := v_names[v_i];
    v_columns := v_columns || quote_ident(v_name);
    IF NOT v_lobs[v_i] THEN
      v_sets := v_sets || format('%1$I = CASE WHEN %2$s THEN excluded.%1$I ELSE t.%1$I END', v_name, v_newer);
      CONTINUE;
    END IF;
    v_lob_newer := format('excluded.%1$I > t.%1$I', v_name || '_position');
    v_columns := v_columns || quote_ident(v_name || '_position') || quote_ident(v_name || '_claim');
    v_sets := v_sets
      || format('%1$I = CASE WHEN %2$s THEN excluded.%1$I ELSE t.%1$I END', v_name, v_lob_newer)
      || format('%1$I = CASE WHEN %2$s THEN excluded.%1$I ELSE t.%1$I END', v_name || '_claim', v_lob_newer)
      || format('%1$I = greatest(excluded.%1$I, t.%1$I)', v_name || '_position');
    v_where := v_where || v_lob_newer;
    v_unknown := v_unknown || jsonb_build_object(v_name || '_position', '');
  END LOOP;
  FOREACH v_name IN ARRAY ARRAY['extra', 'epoch', 'commit_lsn', 'kafka_offset', 'deleted', 'committed_at'] LOOP
    v_columns := v_columns || v_name;
    v_sets := v_sets || format('%1$I = CASE WHEN %2$s THEN excluded.%1$I ELSE t.%1$I END', v_name, v_newer);
  END LOOP;
  RETURN format($f$
    INSERT INTO %1$s AS t (id, %2$s)
    SELECT r.id, %3$s FROM (
      SELECT %4$L::jsonb || consorcio.merge(w ORDER BY (w ->> 'epoch')::bigint, (w ->> 'commit_lsn') COLLATE "C", (w ->> 'kafka_offset')::bigint) AS newest
      FROM unnest($1) AS w GROUP BY w ->> 'id'
    ) AS k, jsonb_populate_record(NULL::%1$s, k.newest) AS r
    ORDER BY r.id
    ON CONFLICT (id) DO UPDATE SET %5$s, applied_at = now()
    WHERE %6$s$f$,
    p_table, array_to_string(v_columns, ', '), 'r.' || array_to_string(v_columns, ', r.'), v_unknown,
    array_to_string(v_sets, ', '), array_to_string(v_where, ' OR '));
END $$;

-- apply puts the changes of an execution into a table. Answers, a row each:
--   refused   a change that cannot be applied: index in the batch, error, cause; it is in rejections
--   event     a notification that is not published yet: error holds its id, event its entry
--   summary   one, the last: cause holds the counts
-- Duplicates and changes that are older than the row are no errors: they are counted as stale.
-- A change that cannot be applied does not hold up the others; what is wrong with the batch as a
-- whole, or with the database, raises an error and leaves nothing behind.
CREATE OR REPLACE FUNCTION consorcio.apply(p_domain text, p_required text[], p_changes json, p_refused jsonb)
RETURNS TABLE (kind text, index int, error text, cause text, event text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
  v_table regclass := format('consorcio.%I', p_domain)::regclass;
  v_raw json;
  v_change jsonb;
  v_refusal jsonb;
  v_row jsonb;
  v_state text;
  v_rows jsonb[] := '{}';
  v_accepted jsonb[] := '{}';
  v_refused int := 0;
  v_keys int;
  v_applied int := 0;
  v_names text[];
  v_types text[];
  v_lobs boolean[];
BEGIN
  SELECT names, types, lobs INTO v_names, v_types, v_lobs FROM consorcio.columns_of(v_table);
  index := -1;
  IF json_typeof(p_changes) <> 'array' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'changes is no array';
  END IF;
  FOR v_raw IN SELECT value FROM json_array_elements(p_changes) LOOP
    index := index + 1;
    error := NULL;
    BEGIN
      v_change := v_raw::jsonb;
      SELECT r INTO v_refusal FROM jsonb_array_elements(coalesce(p_refused, '[]')) r WHERE (r ->> 'index')::int = index LIMIT 1;
      IF FOUND THEN
        error := v_refusal ->> 'error';
        cause := v_refusal ->> 'cause';
      ELSE
        v_row := consorcio.row_of(v_names, v_types, v_lobs, p_required, v_change);
        EXECUTE format('SELECT jsonb_populate_record(NULL::%s, $1)::text', v_table) USING v_row;
        v_rows := v_rows || v_row;
        v_accepted := v_accepted || v_change;
      END IF;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR feature_not_supported THEN
      GET STACKED DIAGNOSTICS v_state = RETURNED_SQLSTATE, cause = MESSAGE_TEXT;
      error := consorcio.error_name(v_state);
    END;
    IF error IS NOT NULL THEN
      kind := 'refused';
      cause := left(cause, 300);
      v_refused := v_refused + 1;
      PERFORM consorcio.reject(p_domain, index, v_raw, error, cause);
      RETURN NEXT;
    END IF;
  END LOOP;

  SELECT count(DISTINCT r ->> 'id') INTO v_keys FROM unnest(v_rows) r;
  IF v_keys > 0 THEN
    EXECUTE consorcio.upsert_sql(v_table) USING v_rows;
    GET DIAGNOSTICS v_applied = ROW_COUNT;
    PERFORM consorcio.resolve(v_accepted);
    kind := 'event';
    index := NULL;
    cause := NULL;
    FOR error, event IN SELECT e.id, e.entry FROM consorcio.notify(p_domain, v_accepted) e LOOP
      RETURN NEXT;
    END LOOP;
  END IF;

  INSERT INTO consorcio.audit (domain, topic, partition, first_offset, last_offset, changes, keys, applied, stale, refused)
  SELECT p_domain, min(c #>> '{kafka,topic}'), min((c #>> '{kafka,partition}')::int), min((c #>> '{kafka,offset}')::bigint), max((c #>> '{kafka,offset}')::bigint),
    json_array_length(p_changes), v_keys, v_applied, v_keys - v_applied, v_refused
  FROM unnest(v_accepted) c;
  kind := 'summary';
  index := NULL;
  error := NULL;
  event := NULL;
  cause := json_build_object('changes', json_array_length(p_changes), 'keys', v_keys, 'applied', v_applied, 'stale', v_keys - v_applied, 'refused', v_refused);
  RETURN NEXT;
END $$;

-- error_name names what is wrong with a change, for the answer and the rejections table.
CREATE OR REPLACE FUNCTION consorcio.error_name(p_sqlstate text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT CASE p_sqlstate
    WHEN '22004' THEN 'RequiredValueMissing'
    WHEN '22003' THEN 'ValueOutOfRange'
    WHEN '22007' THEN 'InvalidDateTime'
    WHEN '22008' THEN 'DateTimeOutOfRange'
    WHEN '22P05' THEN 'UntranslatableCharacter'
    WHEN '0A000' THEN 'ColumnNotSupported'
    ELSE 'InvalidValue' END
$$;

-- reject keeps a change that cannot be applied. It can be one that no function of PostgreSQL reads, for an
-- escaped NUL or half a surrogate pair in it: for its coordinates these escapes are left out.
CREATE OR REPLACE FUNCTION consorcio.reject(p_domain text, p_index int, p_change json, p_error text, p_cause text) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
  INSERT INTO consorcio.rejections AS r (topic, partition, kafka_offset, domain, error, cause, change)
  SELECT coalesce(c #>> '{kafka,topic}', ''), coalesce((c #>> '{kafka,partition}')::int, -1),
    coalesce((c #>> '{kafka,offset}')::bigint, p_index), p_domain, p_error, p_cause, p_change::text
  FROM (SELECT regexp_replace(p_change::text, '(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\1', 'g')::json AS c) s
  ON CONFLICT (topic, partition, kafka_offset) DO UPDATE
  SET times = r.times + 1, error = excluded.error, cause = excluded.cause, change = excluded.change, rejected_at = now(), resolved_at = NULL
$$;

CREATE OR REPLACE FUNCTION consorcio.resolve(p_changes jsonb[]) RETURNS void
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
  UPDATE consorcio.rejections r SET resolved_at = now()
  FROM unnest(p_changes) c
  WHERE r.resolved_at IS NULL AND r.topic = c #>> '{kafka,topic}' AND r.partition = (c #>> '{kafka,partition}')::int AND r.kafka_offset = (c #>> '{kafka,offset}')::bigint
$$;

-- The functions that the state machines call. They run as their owner: who may call them can do to
-- the tables what they do, and nothing else.
CREATE OR REPLACE FUNCTION consorcio.apply_clientes(p_changes json, p_refused jsonb DEFAULT '[]')
RETURNS TABLE (kind text, index int, error text, cause text, event text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT * FROM consorcio.apply('clientes', ARRAY['nome', 'cpf_cnpj', 'tipo_pessoa', 'ativo', 'criado_em', 'guid_externo', 'versao'], p_changes, p_refused)
$$;
CREATE OR REPLACE FUNCTION consorcio.apply_pedidos(p_changes json, p_refused jsonb DEFAULT '[]')
RETURNS TABLE (kind text, index int, error text, cause text, event text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT * FROM consorcio.apply('pedidos', ARRAY['numero', 'cliente_id', 'produto_id', 'status', 'valor', 'data_pedido', 'versao'], p_changes, p_refused)
$$;
CREATE OR REPLACE FUNCTION consorcio.apply_produtos(p_changes json, p_refused jsonb DEFAULT '[]')
RETURNS TABLE (kind text, index int, error text, cause text, event text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
  SELECT * FROM consorcio.apply('produtos', ARRAY['codigo', 'nome', 'taxa_administracao', 'disponivel', 'versao'], p_changes, p_refused)
$$;
