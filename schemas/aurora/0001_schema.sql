-- The schema, its roles and its types.
--
-- Roles are groups without a login: a person or Secrets Manager makes the logins and grants them
-- one of these. Nobody but the owner can write a table; who applies changes may only call the
-- functions that do it right.
--
--   consorcio_owner       owns everything; runs the migrations
--   consorcio_writer      the state machines: apply_* and outbox_published, nothing else
--   consorcio_publisher   the scheduled publisher: outbox_take and outbox_published
--   consorcio_reader      applications: the views of consorcio_api
--   consorcio_auditor     people who reconcile: reads tables, rejections and the audit
DO $$
DECLARE
  r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['consorcio_owner', 'consorcio_writer', 'consorcio_publisher', 'consorcio_reader', 'consorcio_auditor'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', r);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- made at the same moment by another session: roles belong to the whole cluster
      END;
    END IF;
  END LOOP;
  -- Who migrates must be able to give objects to the owner. Aurora's master user is no superuser, and from PostgreSQL
  -- 16 on who makes a role may give it away but not take it on: so it is granted in any case.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('GRANT consorcio_owner TO %I', current_user);
  END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS consorcio;
CREATE SCHEMA IF NOT EXISTS consorcio_api;
ALTER SCHEMA consorcio OWNER TO consorcio_owner;
ALTER SCHEMA consorcio_api OWNER TO consorcio_owner;

-- DATETIME2(7), TIME(7) and DATETIMEOFFSET(7) hold 100 ns; PostgreSQL's types hold 1 µs and round.
-- So these columns are text: ISO-8601 with seven digits of the second, in the collation "C", in
-- which the order of the text is the order of time for the years 0001 to 9999. A DATETIMEOFFSET
-- keeps its own offset and has no useful order as text.
-- Columns of six digits and fewer have PostgreSQL's types, in which nothing of them is lost.
DO $$
BEGIN
  IF to_regtype('consorcio.datetime2_7') IS NULL THEN
    CREATE DOMAIN consorcio.datetime2_7 AS text COLLATE "C"
      CHECK (VALUE ~ '^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{7,9}$');
  END IF;
  IF to_regtype('consorcio.time_7') IS NULL THEN
    CREATE DOMAIN consorcio.time_7 AS text COLLATE "C"
      CHECK (VALUE ~ '^([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{7,9}$');
  END IF;
  IF to_regtype('consorcio.datetimeoffset_7') IS NULL THEN
    CREATE DOMAIN consorcio.datetimeoffset_7 AS text COLLATE "C"
      CHECK (VALUE ~ '^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$');
  END IF;
END $$;
ALTER DOMAIN consorcio.datetime2_7 OWNER TO consorcio_owner;
ALTER DOMAIN consorcio.time_7 OWNER TO consorcio_owner;
ALTER DOMAIN consorcio.datetimeoffset_7 OWNER TO consorcio_owner;
