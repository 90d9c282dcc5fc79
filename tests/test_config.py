"""Configuration: what is read, what wins over what, and how several files make one stack."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coinswarm.config import Stack, load
from coinswarm.errors import ConfigError, DatabaseNotFound, QueueNotFound, UsageError

ID = "ac4629b2-8240-4378-b3e3-e5262cd9b285"
OTHER_ID = "b37495a5-0000-4000-8000-123456789abc"

CONSUMER = f"""
name = "historical-data-queue-consumer"
main = "historical-data-queue-consumer.ts"
compatibility_date = "2024-01-01"

[observability]
enabled = true
head_sampling_rate = 1

[observability.logs]
enabled = true

[[d1_databases]]
binding = "DB"
database_name = "coinswarm-evolution"
database_id = "{ID}"

[[queues.consumers]]
queue = "historical-data-queue"
max_batch_size = 100           # Process 100 messages at once
max_batch_timeout = 5
max_retries = 3
dead_letter_queue = "historical-data-dlq"
max_concurrency = 5

[limits]
cpu_ms = 30000
"""
PRODUCER = f"""
#:schema node_modules/wrangler/config-schema.json
name = "historical-data-queue-producer"
main = "historical-data-queue-producer.ts"
compatibility_date = "2024-01-01"

[triggers]
crons = ["*/30 * * * *"]

[[d1_databases]]
binding = "DB"
database_name = "coinswarm-evolution"
database_id = "{ID}"

[[queues.producers]]
queue = "historical-data-queue"
binding = "HISTORICAL_DATA_QUEUE"

[vars]
COINGECKO = "YOUR_COINGECKO_KEY"
CRYPTOCOMPARE_API_KEY = "YOUR_CRYPTOCOMPARE_KEY"

[observability]
enabled = true
"""
IMPORT_KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
IMPORTER = f"""
name = "coinswarm-historical-import"
main = "Data_Import/historical_worker.py"
compatibility_date = "2025-11-10"
compatibility_flags = ["python_workers"]

[[d1_databases]]
binding = "DB"
name = "history"
database_id = "{ID}"

[[queues.producers]]
queue = "historical-data-queue"
binding = "HISTORICAL_QUEUE"

[vars]
CRYPTOCOMPARE_API_KEY = "{IMPORT_KEY}"
"""


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def read(folder: Path, *files: str, env: str | None = None, **environ: str) -> Stack:
    return load(files, env_name=env, cwd=folder, environ=environ)


def test_without_a_wrangler_file_the_stack_is_the_seed_systems(tmp_path: Path) -> None:
    stack = read(tmp_path)
    database = stack.database()
    consumer = stack.consumer()
    assert (database.name, database.id, database.binding) == ("coinswarm-evolution", ID, "DB")
    assert [(p.binding, p.queue) for p in stack.producers] == [("HISTORICAL_DATA_QUEUE", "historical-data-queue")]
    assert consumer is not None
    assert (consumer.max_batch_size, consumer.max_batch_timeout, consumer.max_retries) == (100, 5, 3)
    assert (consumer.max_concurrency, consumer.dead_letter_queue) == (5, "historical-data-dlq")
    assert [cron.expression for cron in stack.crons] == ["*/30 * * * *"]
    assert stack.queue_names == ("historical-data-queue", "historical-data-dlq")
    assert stack.state_dir == tmp_path / ".wrangler" / "state"
    assert database.migrations_dir == tmp_path / "migrations"
    assert (stack.files, stack.warnings) == ((), ())


def test_the_three_historical_files_load_unmodified_as_one_stack(tmp_path: Path) -> None:
    write(tmp_path, consumer__toml=CONSUMER, producer__toml=PRODUCER, wrangler_historical_import__toml=IMPORTER)
    stack = read(tmp_path, "consumer.toml", "producer.toml", "wrangler_historical_import.toml")
    (database,) = stack.databases
    assert (database.name, database.id) == ("coinswarm-evolution", ID)
    assert database.workers == (
        "historical-data-queue-consumer",
        "historical-data-queue-producer",
        "coinswarm-historical-import",
    )
    assert [(p.binding, p.queue) for p in stack.producers] == [
        ("HISTORICAL_DATA_QUEUE", "historical-data-queue"),
        ("HISTORICAL_QUEUE", "historical-data-queue"),
    ]
    assert stack.queue() == stack.queue("HISTORICAL_QUEUE") == "historical-data-queue"
    assert stack.api_keys["cryptocompare"].reveal() == IMPORT_KEY
    assert "coingecko" not in stack.api_keys
    assert stack.warnings == (
        "producer.toml: vars.COINGECKO holds a placeholder and is ignored; put the real value into .dev.vars",
        (
            "producer.toml: vars.CRYPTOCOMPARE_API_KEY holds a placeholder and is ignored;"
            " put the real value into .dev.vars"
        ),
        (
            "wrangler_historical_import.toml: vars.CRYPTOCOMPARE_API_KEY looks like a secret, and this file is meant to"
            " be committed: move it to .dev.vars or the environment, use `wrangler secret put"
            " CRYPTOCOMPARE_API_KEY` for production, and revoke what was published"
        ),
        'wrangler_historical_import.toml: Unexpected fields found in d1_databases[0] field: "name"',
    )


def test_json_with_comments_and_trailing_commas_says_the_same_as_toml(tmp_path: Path) -> None:
    text = """{
      // the "binding" of /* the */ queue
      "name": "w", /* a
      block */ "queues": {"producers": [{"binding": "Q", "queue": "candles",},],
        "consumers": [{"queue": "candles", "max_batch_size": 100.0, "dead_letter_queue": "candles-dlq"}]},
      "d1_databases": [{"binding": "DB", "database_name": "a", "database_id": "x//y"}],
      "triggers": {"crons": ["*/5 * * * *", "0  3 * * MON-FRI"]},
      "vars": {"URL": "https://example.org/a,]", "NESTED": {"list": [1, 2,]}},
    }"""
    write(tmp_path, wrangler__jsonc=text)
    stack = read(tmp_path)
    assert stack.vars["URL"] == "https://example.org/a,]"
    assert stack.vars["NESTED"] == {"list": [1, 2]}
    assert stack.database("x//y").name == "a"
    assert [cron.expression for cron in stack.crons] == ["*/5 * * * *", "0 3 * * MON-FRI"]
    consumer = stack.consumer("Q")
    assert consumer is not None
    assert (consumer.max_batch_size, consumer.max_retries, consumer.max_concurrency) == (100, 3, None)
    assert stack.warnings == ()


def test_what_a_consumer_leaves_out_is_cloudflares_default_not_miniflares(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='[[queues.consumers]]\nqueue = "q"\n')
    consumer = read(tmp_path).consumer()
    assert consumer is not None
    settings = consumer.settings
    assert (settings.batch_size, settings.max_wait_time_ms, settings.max_retries) == (10, 5_000, 3)
    assert (settings.max_concurrency, settings.retry_delay, settings.dead_letter_queue) == (None, 0, None)


def test_seconds_of_the_file_are_milliseconds_of_the_api(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='[[queues.consumers]]\nqueue = "q"\nmax_batch_timeout = 0.5\n')
    consumer = read(tmp_path).consumer()
    assert consumer is not None
    assert consumer.settings.max_wait_time_ms == 500


def test_files_are_looked_for_in_wranglers_order_and_the_others_are_named(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='name = "t"', wrangler__jsonc='{"name": "c"}', wrangler__json='{"name": "j"}')
    stack = read(tmp_path)
    assert stack.files == (tmp_path / "wrangler.json",)
    assert stack.warnings == (
        "wrangler.jsonc: is ignored: wrangler reads wrangler.json, and so does coinswarm",
        "wrangler.toml: is ignored: wrangler reads wrangler.json, and so does coinswarm",
    )


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, consumer__toml=CONSUMER)
    stack = read(tmp_path, "consumer.toml", "consumer.toml")
    assert len(stack.consumers) == 1
    assert stack.warnings == ("consumer.toml: is given twice and read once",)


def test_state_and_migrations_lie_beside_the_first_file_as_in_wrangler(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", w__toml=CONSUMER)
    stack = read(tmp_path, "a/w.toml")
    assert stack.state_dir == tmp_path / "a" / ".wrangler" / "state"
    assert stack.database().migrations_dir == tmp_path / "a" / "migrations"
    assert not stack.database().migrations_dir_given
    assert stack.consumers[0].file == "a/w.toml"


def test_persist_to_is_relative_to_the_working_directory(tmp_path: Path) -> None:
    assert load(cwd=tmp_path, environ={}, persist_to=Path("x/y")).state_dir == tmp_path / "x" / "y"
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--persist-to file: is not a directory"):
        load(cwd=tmp_path, environ={}, persist_to=Path("file"))


def test_the_local_file_is_named_after_the_preview_id_the_id_or_the_binding(tmp_path: Path) -> None:
    write(
        tmp_path,
        wrangler__json=json.dumps(
            {
                "name": "w",
                "d1_databases": [
                    {"binding": "A", "database_id": "id-a", "preview_database_id": "pre-a"},
                    {"binding": "B", "database_id": "id-b"},
                    {"binding": "MY_DB"},
                ],
            }
        ),
    )
    stack = read(tmp_path)
    assert [d.local_id for d in stack.databases] == ["pre-a", "id-b", "MY_DB"]
    assert [d.name for d in stack.databases] == ["A", "B", "w-my-db"]
    assert stack.database("pre-a").binding == "A"


def test_migration_keys_are_taken_relative_to_their_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    extra = 'migrations_dir = "./db"\nmigrations_table = "m"\nmigrations_pattern = "db/*/up.sql"\n'
    write(tmp_path / "sub", w__toml=CONSUMER.replace('binding = "DB"', f'binding = "DB"\n{extra}'))
    database = read(tmp_path, "sub/w.toml").database()
    assert database.migrations_dir == tmp_path / "sub" / "db"
    assert database.migrations_dir_given
    assert (database.migrations_table, database.migrations_pattern) == ("m", "db/*/up.sql")
    assert database.migrations_glob == "*/up.sql"


@pytest.mark.parametrize(
    ("folder", "pattern", "glob"),
    [("a/a", "./a/a/*.sql", "*.sql"), (".", "*.sql", "*.sql"), ("db/", "db/**/*.sql", "**/*.sql")],
)
def test_a_migrations_pattern_is_a_glob_below_its_folder(tmp_path: Path, folder: str, pattern: str, glob: str) -> None:
    database = {"binding": "DB", "migrations_dir": folder, "migrations_pattern": pattern}
    write(tmp_path, wrangler__json=json.dumps({"d1_databases": [database]}))
    assert read(tmp_path).database().migrations_glob == glob


# --- looking things up ---


@pytest.mark.parametrize("key", ["DB", "coinswarm-evolution", ID, None])
def test_a_database_is_known_by_name_binding_and_id(tmp_path: Path, key: str | None) -> None:
    assert read(tmp_path).database(key).name == "coinswarm-evolution"


def test_an_unknown_database_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DatabaseNotFound) as error:
        read(tmp_path).database("nope")
    assert error.value.message == "Couldn't find a D1 DB with the name or binding 'nope' in the built-in stack."
    assert error.value.hint == f"Known: coinswarm-evolution (binding DB, id {ID})"


def test_an_unknown_queue_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(QueueNotFound) as error:
        read(tmp_path).queue("nope")
    assert error.value.message == 'Queue "nope" is not in the built-in stack.'
    assert error.value.hint == "Known: historical-data-queue; historical-data-dlq"


def test_the_pipelines_database_is_that_of_the_consumer(tmp_path: Path) -> None:
    archive = PRODUCER.replace("coinswarm-evolution", "archive").replace(ID, OTHER_ID)
    write(tmp_path, consumer__toml=CONSUMER, producer__toml=archive)
    stack = read(tmp_path, "producer.toml", "consumer.toml")
    assert stack.database().name == "coinswarm-evolution"
    with pytest.raises(UsageError, match=r"'DB' is more than one D1 database: archive .*; coinswarm-evolution"):
        stack.database("DB")


def test_several_candidates_are_listed_instead_of_guessed(tmp_path: Path) -> None:
    both = CONSUMER + f'[[d1_databases]]\nbinding = "B"\ndatabase_name = "b"\ndatabase_id = "{OTHER_ID}"\n'
    both += '[[queues.consumers]]\nqueue = "second"\n'
    write(tmp_path, wrangler__toml=both)
    stack = read(tmp_path)
    with pytest.raises(UsageError, match=r"several D1 databases are configured: coinswarm-evolution .*; b "):
        stack.database()
    with pytest.raises(UsageError, match="several queues are configured: historical-data-queue; second"):
        stack.queue()
    assert stack.queue("second") == "second"


def test_a_binding_of_two_queues_is_listed_instead_of_guessed(tmp_path: Path) -> None:
    for name, queue in (("a", "one"), ("b", "two")):
        write(tmp_path, **{f"{name}__toml": f'[[queues.producers]]\nbinding = "Q"\nqueue = "{queue}"\n'})
    with pytest.raises(UsageError, match="'Q' is bound to more than one queue: one; two"):
        read(tmp_path, "a.toml", "b.toml").queue("Q")


def test_a_stack_without_database_or_queue_says_what_to_add(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='name = "bare"\n')
    stack = read(tmp_path)
    with pytest.raises(ConfigError, match="no D1 database is configured in "):
        stack.database()
    with pytest.raises(ConfigError, match="no queue is configured in "):
        stack.queue()


def test_a_producer_without_a_queue_name_gets_the_one_wrangler_provisions(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='name = "w"\n[[queues.producers]]\nbinding = "MY_QUEUE"\n')
    assert read(tmp_path).queue("MY_QUEUE") == "w-my-queue"


# --- environments ---

ENVIRONMENTS = """
name = "w"
account_id = "0123456789abcdef0123456789abcdef"
[triggers]
crons = ["0 * * * *"]
[vars]
A = "top"
[[queues.producers]]
binding = "Q"
queue = "top"
[env.staging]
[env.staging.vars]
A = "staging"
[[env.staging.queues.producers]]
binding = "Q"
queue = "staging"
[env.production]
name = "live"
[env.production.triggers]
crons = []
"""


def test_an_environment_inherits_triggers_but_not_vars_queues_or_databases(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml=ENVIRONMENTS)
    top, staging, live = read(tmp_path), read(tmp_path, env="staging"), read(tmp_path, env="production")
    assert [(s.vars.get("A"), s.queue_names) for s in (top, staging, live)] == [
        ("top", ("top",)),
        ("staging", ("staging",)),
        (None, ()),
    ]
    assert [[c.expression for c in s.crons] for s in (top, staging, live)] == [["0 * * * *"], ["0 * * * *"], []]
    assert [s.account_id for s in (staging, live)] == ["0123456789abcdef0123456789abcdef"] * 2
    assert staging.producers[0].worker == "w-staging"
    assert staging.warnings == ()
    assert live.warnings == tuple(
        f'wrangler.toml: "{key}" exists at the top level, but not on "env.production". This is not what you probably'
        f' want, since "{key}" is not inherited by environments. Please add "{key}" to "env.production".'
        for key in ("vars", "queues")
    )


def test_an_environments_own_name_is_not_extended(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='name = "w"\n[env.p]\nname = "live"\n[[env.p.queues.producers]]\nbinding = "Q"\n')
    assert read(tmp_path, env="p").producers[0].worker == "live"


def test_an_unknown_environment_names_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml=ENVIRONMENTS)
    with pytest.raises(ConfigError) as error:
        read(tmp_path, env="prod")
    assert error.value.message == (
        'wrangler.toml: No environment found in configuration with name "prod".'
        ' The available configured environment names are: ["staging", "production"]'
    )


def test_without_any_environment_the_top_level_is_used_with_a_warning_as_in_wrangler(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='name = "w"\n')
    assert read(tmp_path, env="x").warnings == (
        (
            'wrangler.toml: No environment found in configuration with name "x".'
            " The top level is used; add a section [env.x]."
        ),
    )


def test_the_environment_may_come_from_cloudflare_env_and_the_flag_wins(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml=ENVIRONMENTS)
    assert read(tmp_path, CLOUDFLARE_ENV="staging").env_name == "staging"
    assert read(tmp_path, env="production", CLOUDFLARE_ENV="staging").env_name == "production"


def test_faults_inside_an_environment_carry_its_path(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='[[env.x.queues.consumers]]\nqueue = "q"\nmax_retries = 101\n')
    with pytest.raises(ConfigError, match=r"env\.x\.queues\.consumers\[0\]\.max_retries must be 0 to 100, got 101"):
        read(tmp_path, env="x")


# --- environment variables and .dev.vars ---


def test_the_environment_wins_over_dev_vars_and_those_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='[vars]\nCOINGECKO_API_KEY = "from-file"\nA = "file"\nB = "file"\n')
    assert read(tmp_path).api_keys["coingecko"].reveal() == "from-file"
    (tmp_path / ".dev.vars").write_text("COINGECKO_API_KEY=from-dev-vars\nCLOUDFLARE_API_TOKEN=token\nA=dev\n")
    stack = read(tmp_path)
    assert stack.api_keys["coingecko"].reveal() == "from-dev-vars"
    assert stack.api_token is not None
    assert stack.api_token.reveal() == "token"
    assert (stack.vars["A"], stack.vars["B"]) == ("dev", "file")
    stack = read(tmp_path, COINGECKO_API_KEY="from-environment", CLOUDFLARE_API_TOKEN=" other\n")
    assert stack.api_keys["coingecko"].reveal() == "from-environment"
    assert stack.api_token is not None
    assert stack.api_token.reveal() == "other"


def test_dev_vars_of_the_environment_replace_the_plain_ones(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml="[env.staging]\n[env.bare]\n")
    (tmp_path / ".dev.vars").write_text("A=plain\nB=plain\n")
    (tmp_path / ".dev.vars.staging").write_text("A=staging\n")
    assert dict(read(tmp_path, env="staging").vars) == {"A": "staging"}
    assert dict(read(tmp_path, env="bare").vars) == {"A": "plain", "B": "plain"}


def test_dev_vars_lie_beside_the_wrangler_file_and_work_without_one(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", w__toml='name = "w"')
    (tmp_path / "sub" / ".dev.vars").write_text("WHERE=sub\n")
    (tmp_path / ".dev.vars").write_text("WHERE=here\n")
    assert read(tmp_path, "sub/w.toml").vars["WHERE"] == "sub"
    assert read(tmp_path).vars["WHERE"] == "here"


def test_dev_vars_are_read_as_dotenv_reads_them(tmp_path: Path) -> None:
    text = (
        "# comment\n\nPLAIN=value # why\n  SPACED = two words  \nexport EXPORTED=yes\nEMPTY=\nCOLON: x\r\n"
        'SINGLE=\'a # b\\n\'\nDOUBLE="line\\nbreak"\nTICK=`it\'s "it"`\nLINES="one\ntwo"\nJSON={"a": 1}\n'
        "TWICE=1\nTWICE=2\nURL=https://x.org/?a=b\n"
    )
    (tmp_path / ".dev.vars").write_bytes(b"\xef\xbb\xbf" + text.encode())
    stack = read(tmp_path)
    assert dict(stack.vars) == {
        "PLAIN": "value",
        "SPACED": "two words",
        "EXPORTED": "yes",
        "EMPTY": "",
        "COLON": "x",
        "SINGLE": "a # b\\n",
        "DOUBLE": "line\nbreak",
        "TICK": 'it\'s "it"',
        "LINES": "one\ntwo",
        "JSON": '{"a": 1}',
        "TWICE": "2",
        "URL": "https://x.org/?a=b",
    }
    assert stack.warnings == ()


def test_a_lone_quote_and_a_value_on_the_next_line_are_read_as_dotenv_reads_them(tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text('OPEN="a\\nb\nNEXT=\n"value"\nLAST=1\n')
    assert dict(read(tmp_path).vars) == {"OPEN": '"a\nb', "NEXT": "value", "LAST": "1"}


def test_a_line_of_dev_vars_that_sets_nothing_is_named_by_its_number_alone(tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("A=1\nsk-secret-without-a-name\nB=2\n")
    stack = read(tmp_path)
    assert dict(stack.vars) == {"A": "1", "B": "2"}
    assert stack.warnings == (".dev.vars: line 2 is not NAME=value and is ignored",)


def test_accounts_and_urls_come_from_the_environment(tmp_path: Path) -> None:
    stack = read(
        tmp_path,
        CLOUDFLARE_ACCOUNT_ID="acc",
        CLOUDFLARE_API_BASE_URL="http://127.0.0.1:8787/client/v4/",
        COINSWARM_BINANCE_URL="http://localhost:9000/binance/",
        COINSWARM_KRAKEN_URL="https://[::1]:1/x",
        COINSWARM_COINBASE_URL="",
    )
    assert (stack.account_id, stack.api_base_url) == ("acc", "http://127.0.0.1:8787/client/v4")
    assert dict(stack.source_urls) == {
        "binance": "http://localhost:9000/binance",
        "kraken": "https://[::1]:1/x",
    }
    assert stack.warnings == ()
    assert read(tmp_path).api_base_url == "https://api.cloudflare.com/client/v4"


def test_names_that_wrangler_deprecates_still_work(tmp_path: Path) -> None:
    stack = read(tmp_path, CF_API_TOKEN="t", CF_ACCOUNT_ID="a", CLOUDFLARE_ACCOUNT_ID="b")
    assert stack.api_token is not None
    assert stack.account_id == "b"
    assert stack.warnings == ("CF_API_TOKEN: is deprecated; please use CLOUDFLARE_API_TOKEN instead",)


def test_the_account_of_the_environment_wins_over_the_files_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, wrangler__toml='account_id = "in-file"\n')
    stack = read(tmp_path, CLOUDFLARE_ACCOUNT_ID="outside")
    assert stack.account_id == "outside"
    assert stack.warnings == (
        "CLOUDFLARE_ACCOUNT_ID: names another account than account_id in the wrangler file (in-file), and wins",
    )
    assert read(tmp_path).account_id == "in-file"


# --- coinswarm.toml ---


def test_coinswarm_toml_beside_the_wrangler_file_sets_what_fetch_takes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", w__toml=CONSUMER, coinswarm__toml='[fetch]\npair = "ETH-USD"\nsource = "kraken"\n')
    fetch = read(tmp_path, "sub/w.toml").fetch
    assert (fetch.pair, fetch.source, fetch.timeframe, fetch.limit) == ("ETH-USD", "kraken", "1h", 2000)


def test_only_one_coinswarm_toml_counts(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, w__toml=f'name = "{folder}"', coinswarm__toml="")
    assert read(tmp_path, "a/w.toml", "b/w.toml").warnings == (
        "b/coinswarm.toml: is ignored: a/coinswarm.toml is read",
    )


# --- cost ---


def test_importing_the_configuration_loads_nothing_heavy() -> None:
    heavy = ("json5", "pydantic", "httpx", "msgspec", "rich", "sqlite3")
    code = f"import sys, coinswarm.config; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_typical_file_loads_in_a_few_milliseconds(tmp_path: Path) -> None:
    write(
        tmp_path, consumer__toml=CONSUMER, producer__toml=PRODUCER, c__jsonc='{"name": "w", /* x */ "vars": {"A": 1,}}'
    )
    best = min(_seconds(tmp_path) for _ in range(20))
    assert best < 0.005


def _seconds(folder: Path) -> float:
    started = time.perf_counter()
    read(folder, "consumer.toml", "producer.toml", "c.jsonc")
    return time.perf_counter() - started
