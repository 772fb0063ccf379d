-- Who may do what. Last, so that it covers what the others made.
DO $$
DECLARE
  f regprocedure;
  v regclass;
BEGIN
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'consorcio' AND p.prokind = 'f' LOOP
    EXECUTE format('ALTER FUNCTION %s OWNER TO consorcio_owner', f);
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
  FOR v IN SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('consorcio', 'consorcio_api') AND c.relkind = 'v' LOOP
    EXECUTE format('ALTER VIEW %s OWNER TO consorcio_owner', v);
  END LOOP;
END $$;
ALTER AGGREGATE consorcio.merge(jsonb) OWNER TO consorcio_owner;

GRANT USAGE ON SCHEMA consorcio TO consorcio_writer, consorcio_publisher, consorcio_auditor;
GRANT EXECUTE ON FUNCTION consorcio.apply_clientes(json, jsonb), consorcio.apply_pedidos(json, jsonb), consorcio.apply_produtos(json, jsonb),
  consorcio.outbox_published(jsonb) TO consorcio_writer;
GRANT EXECUTE ON FUNCTION consorcio.outbox_take(int, interval), consorcio.outbox_published(jsonb) TO consorcio_publisher;
GRANT SELECT ON ALL TABLES IN SCHEMA consorcio TO consorcio_auditor;
GRANT EXECUTE ON FUNCTION consorcio.rowversion_of(bytea), consorcio.utf16le(text), consorcio.decimal_text(numeric, int), consorcio.offset_text(text),
  consorcio.content_checksum(text) TO consorcio_auditor;
GRANT USAGE ON SCHEMA consorcio_api TO consorcio_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA consorcio_api TO consorcio_reader;
