CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'x', b AS (a || 1), c REAL UNIQUE); CREATE INDEX i ON t (a, c DESC); CREATE TABLE r (id REFERENCES t (id)); CREATE VIEW v AS SELECT a FROM t;

PRAGMA table_info(t)

PRAGMA table_info('t')

PRAGMA table_info = t

PRAGMA table_info("nowhere")

PRAGMA table_info(v)

PRAGMA table_info

PRAGMA table_xinfo(t)

PRAGMA index_list(t)

PRAGMA index_info(i)

PRAGMA index_xinfo(i)

PRAGMA index_list(nowhere)

PRAGMA foreign_key_list(r)

PRAGMA foreign_key_check

PRAGMA foreign_key_check(r)

PRAGMA foreign_key_check(nowhere)

PRAGMA main.table_info(t)

PRAGMA TABLE_INFO(t)

SELECT name FROM pragma_table_info('t')

SELECT * FROM pragma_index_list('t')

SELECT name FROM pragma_table_list WHERE schema = 'main' AND name IN ('t', 'r', 'v') ORDER BY name

SELECT m.name, p.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS p WHERE m.name = 'r'

SELECT * FROM pragma_foreign_key_list('r')

SELECT * FROM pragma_database_list

SELECT * FROM pragma_page_count

SELECT * FROM pragma_function_list

PRAGMA table_list

PRAGMA table_list(t)

PRAGMA foreign_keys

PRAGMA foreign_keys = on

PRAGMA foreign_keys = 1

PRAGMA foreign_keys(true)

PRAGMA foreign_keys = ON

PRAGMA foreign_keys = TRUE

PRAGMA foreign_keys = No

PRAGMA Foreign_Keys

PRAGMA foreign_keys = 'on'

PRAGMA foreign_keys = maybe

PRAGMA foreign_keys = 2

PRAGMA defer_foreign_keys

PRAGMA defer_foreign_keys = true

PRAGMA defer_foreign_keys = off

PRAGMA case_sensitive_like

PRAGMA case_sensitive_like = on

--# a pragma is forgotten after the call
SELECT 'a' LIKE 'A'

PRAGMA case_sensitive_like = off

--# case sensitive LIKE within one text
PRAGMA case_sensitive_like = on; SELECT 'a' LIKE 'A';

PRAGMA case_sensitive_like = off;

PRAGMA ignore_check_constraints

PRAGMA legacy_alter_table

PRAGMA legacy_alter_table = on; PRAGMA legacy_alter_table = off;

PRAGMA recursive_triggers

PRAGMA reverse_unordered_selects

--# reversed selects within one text
PRAGMA reverse_unordered_selects = on; PRAGMA reverse_unordered_selects = off; SELECT value FROM json_each('[1,2]');

PRAGMA data_version = 5

PRAGMA page_size

PRAGMA page_size = 8192

PRAGMA quick_check

PRAGMA quick_check(t)

PRAGMA quick_check(10)

PRAGMA optimize

PRAGMA optimize(0x10002)

PRAGMA integrity_check

PRAGMA page_count

PRAGMA freelist_count

PRAGMA user_version

PRAGMA user_version = 5

PRAGMA schema_version

PRAGMA application_id

PRAGMA journal_mode

PRAGMA journal_mode = WAL

PRAGMA synchronous = OFF

PRAGMA cache_size

PRAGMA database_list

PRAGMA function_list

PRAGMA module_list

PRAGMA pragma_list

PRAGMA collation_list

PRAGMA compile_options

PRAGMA encoding

PRAGMA auto_vacuum

PRAGMA wal_checkpoint

PRAGMA writable_schema = on

PRAGMA temp_store = 2

PRAGMA locking_mode

PRAGMA mmap_size = 0

PRAGMA busy_timeout

PRAGMA max_page_count

PRAGMA secure_delete

PRAGMA trusted_schema = off

PRAGMA query_only = on

PRAGMA hard_heap_limit

PRAGMA analysis_limit = 100

PRAGMA automatic_index = off

PRAGMA cell_size_check = on

PRAGMA checkpoint_fullfsync

PRAGMA count_changes = on

PRAGMA full_column_names = on

PRAGMA short_column_names

PRAGMA empty_result_callbacks

PRAGMA incremental_vacuum

PRAGMA shrink_memory

PRAGMA threads

PRAGMA read_uncommitted

PRAGMA no_such_pragma

PRAGMA no_such_pragma = 1

PRAGMA table_info(_cf_METADATA)

PRAGMA index_list(_cf_KV)

PRAGMA foreign_key_check(_cf_METADATA)

PRAGMA quick_check(_cf_METADATA)
