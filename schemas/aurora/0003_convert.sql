-- From a change of the execution input (schemas/execution-input.schema.json, input.format=change) to
-- a row of a table, as jsonb that jsonb_populate_record takes. What cannot be a row raises an
-- error of class 22 or 23.

-- iso makes the text of a date or time one that PostgreSQL and our domains read: no zone (Debezium's
-- isostring mode writes Z after local times), for digits > 0 exactly so many digits of the second or more
-- when more count. A fraction of more digits than most is refused unless they are zeros: nothing is rounded.
CREATE OR REPLACE FUNCTION consorcio.iso(p_value text, p_digits int, p_most int) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
  v_text text := rtrim(p_value, 'Z');
  v_whole text := split_part(v_text, '.', 1);
  v_fraction text := rtrim(split_part(v_text, '.', 2), '0');
BEGIN
  IF length(v_fraction) > p_most THEN
    RAISE EXCEPTION USING ERRCODE = 'datetime_field_overflow',
      MESSAGE = format('%s has more than %s digits of the second', p_value, p_most);
  END IF;
  v_fraction := rpad(v_fraction, greatest(p_digits, length(v_fraction)), '0');
  RETURN v_whole || CASE WHEN v_fraction = '' THEN '' ELSE '.' || v_fraction END;
END $$;

-- value_of makes one column's value ready for its type.
CREATE OR REPLACE FUNCTION consorcio.value_of(p_type text, p_value jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
  v_text text := p_value #>> '{}';
BEGIN
  IF v_text IS NULL THEN
    RETURN 'null';
  END IF;
  CASE p_type
  WHEN 'bytea' THEN
    RETURN to_jsonb('\x' || encode(decode(v_text, 'base64'), 'hex'));
  WHEN 'consorcio.datetime2_7', 'consorcio.time_7' THEN
    RETURN to_jsonb(consorcio.iso(v_text, 7, 9));
  WHEN 'timestamp without time zone', 'time without time zone', 'date' THEN
    RETURN to_jsonb(consorcio.iso(v_text, 0, 6));
  WHEN 'double precision' THEN
    -- JSONata writes 15 digits of a double; the state machine sends the rest of longer ones as lo, and half of the largest.
    IF jsonb_typeof(p_value) = 'object' THEN
      RETURN to_jsonb(((p_value ->> 'hi')::float8 + (p_value ->> 'lo')::float8) * coalesce((p_value ->> 'times')::float8, 1));
    END IF;
    RETURN p_value;
  ELSE
    RETURN p_value;
  END CASE;
END $$;

-- position_of writes a position so that the order of the text is the order of the positions.
CREATE OR REPLACE FUNCTION consorcio.position_of(p_epoch bigint, p_commit_lsn text, p_offset bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS
$$ SELECT lpad(p_epoch::text, 10, '0') || ' ' || p_commit_lsn || ' ' || lpad(p_offset::text, 19, '0') $$;

-- identity_of names a change by what it is in the source: the same for every delivery of it. The
-- row is part of it because the other parts can repeat inside a transaction.
CREATE OR REPLACE FUNCTION consorcio.identity_of(p_change jsonb) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT encode(sha256(convert_to(jsonb_build_array(
    p_change -> 'position', p_change -> 'database', p_change -> 'schema', p_change -> 'table',
    p_change -> 'operation', p_change -> 'key', p_change -> 'after', p_change -> 'unavailable')::text, 'UTF8')), 'hex')
$$;

-- columns_of lists a table's columns that the source has: name, type, and whether an update can leave the column out.
CREATE OR REPLACE FUNCTION consorcio.columns_of(p_table regclass, OUT names text[], OUT types text[], OUT lobs boolean[])
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT array_agg(a.attname::text ORDER BY a.attnum), array_agg(format_type(a.atttypid, NULL) ORDER BY a.attnum),
    array_agg(EXISTS (SELECT FROM pg_attribute p WHERE p.attrelid = a.attrelid AND p.attname = a.attname || '_position' AND NOT p.attisdropped) ORDER BY a.attnum)
  FROM pg_attribute a
  WHERE a.attrelid = p_table AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attname NOT IN ('id', 'extra', 'epoch', 'commit_lsn', 'kafka_offset', 'deleted', 'committed_at', 'applied_at')
    AND a.attname !~ '_(position|claim)$'
$$;

-- row_of gives the row that a change leaves behind; columns_of describes the table. Columns that the source left out are absent, so
-- that they replace nothing; every other column of the table is there, null if need be.
CREATE OR REPLACE FUNCTION consorcio.row_of(p_columns text[], p_types text[], p_lobs boolean[], p_required text[], p_change jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
DECLARE
  v_deleted boolean;
  v_after jsonb;
  v_claims jsonb := '{}';
  v_unavailable jsonb := coalesce(p_change -> 'unavailable', '[]');
  v_key jsonb := p_change #> '{key,id}';
  v_epoch bigint := (p_change #>> '{position,epoch}')::bigint;
  v_lsn text := p_change #>> '{position,commit_lsn}';
  v_offset bigint := (p_change #>> '{kafka,offset}')::bigint;
  v_position text;
  v_row jsonb;
  v_name text;
  v_value jsonb;
BEGIN
  IF (p_change ->> 'operation') IS NULL OR p_change ->> 'operation' NOT IN ('insert', 'update', 'delete', 'snapshot') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('operation %s is not known', coalesce(p_change ->> 'operation', 'null'));
  END IF;
  IF v_epoch IS NULL OR v_offset IS NULL OR (v_lsn IS NULL AND (p_change ->> 'snapshot') IS DISTINCT FROM 'true') THEN
    RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the change has no position';
  END IF;
  IF coalesce(v_key, 'null') = 'null' THEN
    RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the change has no key with a column id';
  END IF;
  v_lsn := coalesce(v_lsn, '');
  v_deleted := p_change ->> 'operation' = 'delete';
  v_after := CASE WHEN v_deleted THEN '{}' ELSE p_change -> 'after' END;
  IF jsonb_typeof(v_after) IS DISTINCT FROM 'object' THEN
    RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the change has no row after it';
  END IF;
  IF NOT v_deleted THEN
    SELECT coalesce(jsonb_object_agg(e ->> 'column', e - 'column'), '{}') INTO v_claims
    FROM jsonb_array_elements(coalesce(p_change -> 'claims', '[]')) e;
  END IF;
  v_position := consorcio.position_of(v_epoch, v_lsn, v_offset);
  v_row := jsonb_build_object('id', v_key, 'epoch', v_epoch, 'commit_lsn', v_lsn, 'kafka_offset', v_offset,
    'deleted', v_deleted, 'committed_at', p_change -> 'committed_at');
  BEGIN
    FOR v_i IN 1 .. cardinality(p_columns) LOOP
      v_name := p_columns[v_i];
      IF p_lobs[v_i] AND v_claims ? v_name THEN
        v_row := v_row || jsonb_build_object(v_name, NULL, v_name || '_position', v_position, v_name || '_claim', v_claims -> v_name);
      ELSIF p_lobs[v_i] AND NOT v_deleted AND (v_unavailable ? v_name OR NOT v_after ? v_name) THEN
        NULL; -- not carried
      ELSIF v_claims ? v_name THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = 'was too large for the input, and the table keeps no pointer for it';
      ELSIF v_unavailable ? v_name AND NOT v_deleted THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
          MESSAGE = format('was not carried, and the table keeps no position for it: add %1$s_position and %1$s_claim', v_name);
      ELSE
        v_value := consorcio.value_of(p_types[v_i], coalesce(v_after -> v_name, 'null'));
        IF NOT v_deleted AND v_name = ANY (p_required) AND v_value = 'null' THEN
          RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'is required and has no value';
        END IF;
        v_row := v_row || CASE WHEN p_lobs[v_i]
          THEN jsonb_build_object(v_name, v_value, v_name || '_position', v_position, v_name || '_claim', NULL)
          ELSE jsonb_build_object(v_name, v_value) END;
      END IF;
    END LOOP;
  EXCEPTION WHEN data_exception OR feature_not_supported THEN
    RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = format('column %s: %s', v_name, SQLERRM);
  END;
  v_claims := v_claims - p_columns;
  IF v_claims <> '{}' THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
      MESSAGE = format('the table keeps no pointer for %s, which was too large for the input', v_claims);
  END IF;
  RETURN v_row || jsonb_build_object('extra', v_after - p_columns - 'id');
END $$;
