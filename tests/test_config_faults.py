"""Configuration: what is wrong with it is told at once, each fault with its file and key."""

from __future__ import annotations

import copy
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coinswarm.config import Secret, Stack, load
from coinswarm.config.masking import is_placeholder, looks_secret, names_a_secret
from coinswarm.errors import ConfigError

ID = "ac4629b2-8240-4378-b3e3-e5262cd9b285"
OTHER_ID = "b37495a5-0000-4000-8000-123456789abc"
BAD_JSON = "is not valid JSON: "
BAD_TOML = "is not valid TOML: "


def read(folder: Path, *files: str, env: str | None = None, **environ: str) -> Stack:
    return load(files, env_name=env, cwd=folder, environ=environ)


def fault(folder: Path, *files: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as error:
        read(folder, *files, **environ)
    return error.value.message


def put(folder: Path, table: dict[str, Any], name: str = "wrangler.json") -> None:
    (folder / name).write_text(json.dumps(table))


def consumer(**changes: object) -> dict[str, Any]:
    return {"queues": {"consumers": [{"queue": "q"} | changes]}}


def database(**changes: object) -> dict[str, Any]:
    return {"d1_databases": [{"binding": "DB", "database_name": "a", "database_id": ID} | changes]}


def test_warnings_are_told_together_with_the_faults(tmp_path: Path) -> None:
    secret = {"vars": {"COINGECKO_API_KEY": "CG-a1b2c3d4e5f6a7b8c9d0e1f2"}}
    put(tmp_path, consumer(max_batch_size=1000) | secret | {"compatability_date": "2026-01-01"})
    heading, only, and_warnings, *warnings = fault(tmp_path).splitlines()
    assert (heading, and_warnings) == ("the configuration has 1 fault:", "and 2 warnings:")
    assert only == "  - wrangler.json: queues.consumers[0].max_batch_size must be 1 to 100, got 1000"
    assert any("compatability_date" in warning for warning in warnings)
    assert any("COINGECKO_API_KEY" in warning for warning in warnings)
    assert "a1b2c3" not in "".join(warnings)


def test_all_faults_of_all_files_come_in_one_message(tmp_path: Path) -> None:
    put(tmp_path, consumer(max_batch_size=1000, max_retries=-1), "a.json")
    put(tmp_path, database(database_id="YOUR_D1_DATABASE_ID"), "b.json")
    (tmp_path / "c.toml").write_text("name = ")
    message = fault(tmp_path, "a.json", "b.json", "c.toml", "d.toml", COINSWARM_KRAKEN_URL="kraken")
    assert message.splitlines() == [
        "the configuration has 6 faults:",
        "  - a.json: queues.consumers[0].max_batch_size must be 1 to 100, got 1000",
        "  - a.json: queues.consumers[0].max_retries must be 0 to 100, got -1",
        (
            '  - b.json: d1_databases[0].database_id is still the placeholder "YOUR_D1_DATABASE_ID":'
            " put the real value there"
        ),
        "  - c.toml: is not valid TOML: Invalid value (at end of document)",
        "  - d.toml: does not exist",
        "  - COINSWARM_KRAKEN_URL: must be a URL that begins with http:// or https://",
    ]


def test_a_single_fault_is_one_line_with_a_hint(tmp_path: Path) -> None:
    put(tmp_path, consumer(max_batch_size=0))
    with pytest.raises(ConfigError) as error:
        read(tmp_path)
    assert error.value.message == "wrangler.json: queues.consumers[0].max_batch_size must be 1 to 100, got 0"
    assert error.value.hint is not None
    assert "docs/configuration.md" in error.value.hint


# --- the files themselves ---


def test_a_missing_file(tmp_path: Path) -> None:
    assert fault(tmp_path, "nope.toml") == "nope.toml: does not exist"
    (tmp_path / "wrangler.toml").symlink_to("gone.toml")
    assert fault(tmp_path) == "wrangler.toml: does not exist"
    assert fault(tmp_path, "a\0.toml").startswith("a\\x00.toml: ")


def test_a_directory_a_device_and_an_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "dir.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "wrangler.yaml").write_text("name: w")
    assert fault(tmp_path, "dir.toml") == "dir.toml: is a directory, not a file"
    assert fault(tmp_path, "pipe.toml") == "pipe.toml: is not a regular file"
    assert fault(tmp_path, "wrangler.yaml") == (
        "wrangler.yaml: the name must end in .toml, .json or .jsonc, which tells the format"
    )


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrangler.toml").write_text("")

    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)  # root may read anything, so the mode alone would not do
    assert fault(tmp_path) == "wrangler.toml: cannot be read: Permission denied"


@pytest.mark.parametrize("text", ["", "  \n", "# nothing but a comment\n"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrangler.toml").write_text(text)
    assert fault(tmp_path) == "wrangler.toml: is empty: it configures nothing"


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "wrangler.toml").open("wb") as file:
        file.truncate(5_000_000_000)
    assert fault(tmp_path) == (
        "wrangler.toml: is too large for a configuration: 5,000,000,000 bytes, 1,000,000 at most"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "wrangler.toml").write_bytes((mark + 'name = "w"').encode(encoding))
    assert fault(tmp_path) == "wrangler.toml: is UTF-16 or UTF-32; save it as UTF-8"


def test_bytes_that_are_no_text_have_a_place(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_bytes(b'name = "w"\nmain = "\xe9.ts"\n')
    assert fault(tmp_path) == "wrangler.toml: is not UTF-8: byte 0xe9 (at line 2, column 9)"


def test_a_byte_order_mark_of_utf8_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_bytes(b'\xef\xbb\xbfname = "w"\n')
    (tmp_path / "w.json").write_bytes(b'\xef\xbb\xbf{"name": "w"}')
    assert read(tmp_path, "wrangler.toml", "w.json").warnings == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("w.toml", 'a = 1\nm "x"\n', BAD_TOML + "Expected '=' after a key in a key/value pair (at line 2, column 3)"),
        ("w.toml", "a = " + "[" * 5000, "is nested too deeply"),
        ("w.toml", "a = 1" + "0" * 5000, BAD_TOML),
        ("w.json", '{\n  "name": "w",\n  "main" "x"\n}', BAD_JSON + "Expecting ':' delimiter (at line 3, column 10)"),
        ("w.jsonc", '/*\n*/ {"a": 1 // x\n "b": 2}', BAD_JSON + "Expecting ',' delimiter (at line 3, column 2)"),
        ("w.json", '{"a": 1', BAD_JSON + "Expecting ',' delimiter (at line 1, column 8)"),
        ("w.json", '{"a": 1} trailing', BAD_JSON + "Extra data (at line 1, column 10)"),
        ("w.json", "{'a': 1}", BAD_JSON + "Expecting property name enclosed in double quotes (at line 1, column 2)"),
        ("w.json", '{"a": NaN}', BAD_JSON + "NaN is not a JSON value"),
        ("w.json", '{"a": /* open', BAD_JSON + "Expecting value (at line 1, column 7)"),
        ("w.jsonc", '{"a": [ , ]}', BAD_JSON + "Expecting value (at line 1, column 9)"),
        ("w.json", "", BAD_JSON + "Expecting value (at line 1, column 1)"),
        ("w.json", "[" * 100_000, "is nested too deeply"),
        ("w.json", '{"a": 1' + "0" * 5000 + "}", BAD_JSON),
        ("w.json", "[1]", "should hold an object, not an array"),
        ("w.json", "null", "should hold an object, not null"),
    ],
)  # fmt: skip
def test_what_cannot_be_parsed_has_line_and_column(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    assert fault(tmp_path, name).startswith(f"{name}: {message}")


def test_a_key_twice_in_one_json_object_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "wrangler.json").write_text('{"name": "a", "name": "b", "vars": {}}')
    assert read(tmp_path).warnings == ('wrangler.json: "name" stands twice in one object; the last one counts',)


# --- queues ---


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("max_batch_size", 1, 100),
        ("max_batch_timeout", 0, 60),
        ("max_retries", 0, 100),
        ("max_concurrency", 1, 250),
        ("retry_delay", 0, 86400),
        ("visibility_timeout_ms", 0, 43200000),
    ],
)
def test_consumer_values_have_cloudflares_ranges(tmp_path: Path, key: str, low: int, high: int) -> None:
    for sound in (low, high):
        put(tmp_path, consumer(**{key: sound}))
        (found,) = read(tmp_path).consumers
        assert getattr(found, key) == sound
    for wrong in (low - 1, high + 1):
        put(tmp_path, consumer(**{key: wrong}))
        assert fault(tmp_path) == f"wrangler.json: queues.consumers[0].{key} must be {low} to {high}, got {wrong}"
    for wrong_type in ("5", True, None, [5]):
        put(tmp_path, consumer(**{key: wrong_type}))
        shown = json.dumps({"queue": "q", key: wrong_type})
        assert fault(tmp_path) == (
            f'wrangler.json: "queues.consumers[0]" should, optionally, have a number "{key}" field but got {shown}.'
        )


def test_numbers_that_toml_knows_and_no_api_takes(tmp_path: Path) -> None:
    for value, message in (
        ("2.5", "must be a whole number, got 2.5"),
        ("inf", "1 to 100, got inf"),
        ("nan", "got nan"),
    ):
        (tmp_path / "wrangler.toml").write_text(f'[[queues.consumers]]\nqueue = "q"\nmax_batch_size = {value}\n')
        assert message in fault(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"queues": []}, 'The field "queues" should be an object but got [].'),
        ({"queues": {"consumers": {}}}, 'The field "queues.consumers" should be an array but got {}.'),
        ({"queues": {"producers": "q"}}, 'The field "queues.producers" should be an array but got "q".'),
        ({"queues": {"consumers": ["q"]}}, '"queues.consumers[0]" should be an object but got "q".'),
        (consumer(queue=5), '"queues.consumers[0]" should have a string "queue" field but got {"queue": 5}.'),
        (consumer(queue=""), '"queues.consumers[0]" should have a string "queue" field but got {"queue": ""}.'),
        (
            {"queues": {"producers": [{"queue": "q"}]}},
            '"queues.producers[0]" bindings should have a string "binding" field but got {"queue": "q"}.',
        ),
        (
            {"queues": {"producers": [{"binding": "B", "queue": 1}]}},
            (
                '"queues.producers[0]" bindings should, optionally, have a string "queue" field'
                ' but got {"binding": "B", "queue": 1}.'
            ),
        ),
        (
            consumer(dead_letter_queue=1),
            (
                '"queues.consumers[0]" should, optionally, have a string "dead_letter_queue" field'
                ' but got {"queue": "q", "dead_letter_queue": 1}.'
            ),
        ),
        (
            consumer(type="http_pull"),
            (
                '"queues.consumers[0].type" has an invalid value "http_pull". Only "worker" consumers can be configured'
                " in your Wrangler configuration. Add an HTTP pull consumer with:"
                " coinswarm queues consumer http add QUEUE"
            ),
        ),
        (consumer(dead_letter_queue="q"), 'queues.consumers[0]: Dead letter queue for queue "q" cannot be itself'),
        (
            consumer(queue="My_Queue"),
            (
                'queues.consumers[0].queue: Invalid queue name: "My_Queue".'
                " Must match ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
            ),
        ),
        (
            consumer(dead_letter_queue="q" * 64),
            (
                f'queues.consumers[0].dead_letter_queue: Invalid queue name: "{"q" * 64}".'
                " Must match ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
            ),
        ),
        (
            {"queues": {"producers": [{"binding": "B", "queue": "<QUEUE>"}]}},
            'queues.producers[0].queue is still the placeholder "<QUEUE>": put the real value there',
        ),
    ],
)
def test_queues_are_checked_in_wranglers_words(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    put(tmp_path, table)
    assert fault(tmp_path) == f"wrangler.json: {message}"


def test_a_queue_has_one_consumer_in_all_files_together(tmp_path: Path) -> None:
    put(tmp_path, consumer(), "a.json")
    put(tmp_path, consumer(), "b.json")
    assert fault(tmp_path, "a.json", "b.json") == 'a.json, b.json: Multiple consumers defined for queue "q"'
    put(tmp_path, {"queues": {"consumers": [{"queue": "q"}, {"queue": "q"}]}})
    assert fault(tmp_path) == 'wrangler.json: Multiple consumers defined for queue "q"'


def test_two_queues_may_be_each_others_dead_letter_queue(tmp_path: Path) -> None:
    consumers = [{"queue": "a", "dead_letter_queue": "b"}, {"queue": "b", "dead_letter_queue": "a"}]
    put(tmp_path, {"queues": {"consumers": consumers}})
    assert read(tmp_path).queue_names == ("a", "b")


def test_a_producers_delay_has_no_effect_and_is_said_so(tmp_path: Path) -> None:
    put(tmp_path, {"queues": {"producers": [{"binding": "B", "queue": "q", "delivery_delay": 5}]}})
    (warning,) = read(tmp_path).warnings
    assert warning.startswith(
        'wrangler.json: The "delivery_delay" field in "queues.producers[0]" is deprecated and has no effect'
    )


# --- databases ---


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"d1_databases": {}}, 'The field "d1_databases" should be an array but got {}.'),
        ({"d1_databases": [1]}, '"d1_databases[0]" should be an object but got 1.'),
        (
            {"d1_databases": [{"database_id": ID}]},
            f'"d1_databases[0]" bindings should have a string "binding" field but got {{"database_id": "{ID}"}}.',
        ),
        (
            {"d1_databases": [{"binding": "DB", "database_id": 7}]},
            '"d1_databases[0]" bindings must have a "database_id" field but got {"binding": "DB", "database_id": 7}.',
        ),
        (
            {"d1_databases": [{"binding": "DB", "migrations_dir": {}}]},
            (
                '"d1_databases[0]" bindings should, optionally, have a string "migrations_dir" field'
                ' but got {"binding": "DB", "migrations_dir": {}}.'
            ),
        ),
        (
            {"d1_databases": [{"binding": "DB", "remote": "yes"}]},
            (
                '"d1_databases[0]" should, optionally, have a boolean "remote" field'
                ' but got {"binding": "DB", "remote": "yes"}.'
            ),
        ),
        (database(migrations_pattern="db/*.sql"), "d1_databases[0].migrations_pattern needs migrations_dir beside it"),
        (
            database(migrations_pattern="other/*.sql", migrations_dir="db"),
            'd1_databases[0].migrations_pattern must start with migrations_dir ("db"), got "other/*.sql"',
        ),
        (
            database(database_name="your-database-name"),
            'd1_databases[0].database_name is still the placeholder "your-database-name": put the real value there',
        ),
        (
            database(preview_database_id="xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
            (
                'd1_databases[0].preview_database_id is still the placeholder "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx":'
                " put the real value there"
            ),
        ),
        ({"account_id": "<ACCOUNT>"}, 'account_id is still the placeholder "<ACCOUNT>": put the real value there'),
        ({"account_id": 5}, 'Expected "account_id" to be of type string but got 5.'),
        ({"name": ["w"]}, 'Expected "name" to be of type string but got ["w"].'),
    ],
)
def test_databases_and_names_are_checked_in_wranglers_words(
    tmp_path: Path, table: dict[str, Any], message: str
) -> None:
    put(tmp_path, table)
    assert fault(tmp_path) == f"wrangler.json: {message}"


def test_one_database_name_with_two_ids_is_refused(tmp_path: Path) -> None:
    put(tmp_path, database(), "a.json")
    put(tmp_path, database(database_id=OTHER_ID), "b.json")
    assert fault(tmp_path, "a.json", "b.json") == (
        f'a.json, b.json: the D1 database "a" has two ids (a.json: d1_databases[0].database_id is {ID};'
        f" b.json: d1_databases[0].database_id is {OTHER_ID})"
    )


def test_one_id_with_two_names_is_warned_about(tmp_path: Path) -> None:
    put(tmp_path, database(), "a.json")
    put(tmp_path, database(database_name="b"), "b.json")
    stack = read(tmp_path, "a.json", "b.json")
    assert stack.database().name == "a"
    assert stack.warnings == (
        f'a.json, b.json: the D1 database with the id {ID} is called "a" and "b"; one of them is wrong',
    )


def test_files_that_disagree_on_the_migrations_folder_are_named(tmp_path: Path) -> None:
    put(tmp_path, database(migrations_dir="one"), "a.json")
    put(tmp_path, database(migrations_dir="two"), "b.json")
    assert read(tmp_path, "a.json", "b.json").warnings == (
        f"a.json, b.json: migrations_dir differs between files; {tmp_path / 'one'} is used",
    )


def test_files_of_two_accounts_are_no_stack(tmp_path: Path) -> None:
    put(tmp_path, {"account_id": "one"}, "a.json")
    put(tmp_path, {"account_id": "two"}, "b.json")
    assert fault(tmp_path, "a.json", "b.json") == (
        "a.json, b.json: account_id differs between files (a.json: one; b.json: two)"
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            database(binding="X") | {"queues": {"producers": [{"binding": "X", "queue": "q"}]}},
            "X assigned to D1 Database and Queue bindings.",
        ),
        (database(binding="X") | {"vars": {"X": 1}}, "X assigned to D1 Database and Environment Variable bindings."),
        (
            database(binding="X") | {"kv_namespaces": [{"binding": "X", "id": "1"}]},
            "X assigned to D1 Database and KV Namespace bindings.",
        ),
        (
            {"queues": {"producers": [{"binding": "X", "queue": "a"}, {"binding": "X", "queue": "b"}]}},
            "X assigned to multiple Queue bindings.",
        ),
    ],
)
def test_a_binding_is_one_thing(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    put(tmp_path, table)
    assert fault(tmp_path) == f"wrangler.json: {message}"


# --- crons ---


FIVE_FIELDS = "must have five fields (minute hour day month weekday)"
CRON_EXAMPLE = '(For example "*/30 * * * *", every half hour; Cloudflare knows no seconds, years or @daily.)'
DAYS = "(Allowed there: 1-31 and * , - / or alone: L, L-3, LW, 15W.)"


@pytest.mark.parametrize(
    ("triggers", "message"),
    [
        ([], 'Expected "triggers" to be of type object but got [].'),
        ({"crons": "* * * * *"}, 'Expected "triggers.crons" to be of type array, but got {"crons": "* * * * *"}.'),
        (
            {"crons": ["0 * * *"]},
            f"triggers.crons[0] is wrong: the cron expression '0 * * *' {FIVE_FIELDS}, not 4 {CRON_EXAMPLE}",
        ),
        (
            {"crons": ["* * * * *", "@daily"]},
            f"triggers.crons[1] is wrong: the cron expression '@daily' {FIVE_FIELDS}, not 1 {CRON_EXAMPLE}",
        ),
        (
            {"crons": [5]},
            "triggers.crons[0] must be a string of five fields (minute hour day month weekday), got 5",
        ),
        (
            {"crons": ["* * 32 * *"]},
            "triggers.crons[0] is wrong: the day of month field of the cron expression, '32': 32 is not 1 to 31 "
            + DAYS,
        ),
    ],
)
def test_triggers_are_checked(tmp_path: Path, triggers: object, message: str) -> None:
    put(tmp_path, {"triggers": triggers})
    assert fault(tmp_path) == f"wrangler.json: {message}"


def test_two_active_crons_that_feed_the_same_are_warned_about(tmp_path: Path) -> None:
    producer = {"triggers": {"crons": ["*/30 * * * *"]}, "queues": {"producers": [{"binding": "Q", "queue": "q"}]}}
    put(tmp_path, producer | database(), "new.json")
    put(tmp_path, {"triggers": {"crons": ["0 * * * *"]}} | database(), "old.json")
    put(tmp_path, {"triggers": {"crons": []}} | database(), "disabled.json")
    assert read(tmp_path, "new.json", "old.json", "disabled.json").warnings == (
        (
            f"new.json, old.json: both have active cron triggers and feed D1 database {ID};"
            " set crons = [] in the one that is no longer meant"
        ),
    )
    put(tmp_path, producer, "old.json")
    assert read(tmp_path, "new.json", "old.json").warnings == (
        (
            'new.json, old.json: both have active cron triggers and feed queue "q";'
            " set crons = [] in the one that is no longer meant"
        ),
    )


# --- unknown keys ---


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"foo": 1}, 'Unexpected fields found in top-level field: "foo"'),
        ({"triggers": {"cron": []}}, 'Unexpected fields found in triggers field: "cron" (did you mean crons?)'),
        ({"queues": {"consumer": []}}, 'Unexpected fields found in queues field: "consumer" (did you mean consumers?)'),
        (
            consumer(batch_size=5, max_retry=1),
            (
                'Unexpected fields found in queues.consumers[0] field: "batch_size","max_retry"'
                " (did you mean max_batch_size, max_retries?)"
            ),
        ),
        (database(zzz=1), 'Unexpected fields found in d1_databases[0] field: "zzz"'),
        ({"env": {"x": {"foo": 1}}}, 'Unexpected fields found in env.x field: "foo"'),
        ({"env": {"x": {"send_metrics": False}}}, 'Unexpected fields found in env.x field: "send_metrics"'),
    ],
)
def test_unknown_keys_are_warned_about_in_wranglers_words(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    put(tmp_path, table)
    assert read(tmp_path).warnings == (f"wrangler.json: {message}",)


def test_environments_must_be_objects(tmp_path: Path) -> None:
    put(tmp_path, {"env": []})
    assert fault(tmp_path) == 'wrangler.json: The field "env" should be an object but got [].'
    put(tmp_path, {"env": {"x": 1}})
    assert fault(tmp_path) == 'wrangler.json: The field "env.x" should be an object but got 1.'


# --- coinswarm.toml ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fetch = 1", 'The field "fetch" should be an object but got 1.'),
        ('[fetch]\nsource = "mtgox"', "fetch.source must be one of cryptocompare, binance, binanceus, coingecko,"),
        ('[fetch]\npair = "BTCUSDC"', 'fetch.pair must be a pair such as BTC-USDC, got "BTCUSDC"'),
        ('[fetch]\ntimeframe = "hour"', "fetch.timeframe must be one of 1m, 3m,"),
        ("[fetch]\ntimeframe = 1", "fetch.timeframe must be a string, got 1"),
        ("[fetch]\nlimit = 0", "fetch.limit must be a whole number above 0, got 0"),
        ("[fetch]\nlimit = true", "fetch.limit must be a whole number above 0, got true"),
        ("[fetch", "is not valid TOML: "),
    ],
)
def test_coinswarm_toml_is_checked_too(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "coinswarm.toml").write_text(text)
    assert fault(tmp_path).startswith(f"coinswarm.toml: {message}")


def test_unknown_keys_of_coinswarm_toml_are_warned_about(tmp_path: Path) -> None:
    (tmp_path / "coinswarm.toml").write_text('colour = 1\n[fetch]\ntimeframes = "1h"\n')
    assert read(tmp_path).warnings == (
        'coinswarm.toml: Unexpected fields found in top-level field: "colour"',
        'coinswarm.toml: Unexpected fields found in fetch field: "timeframes" (did you mean timeframe?)',
    )


# --- URLs ---


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.org", "must be a URL that begins with http:// or https://"),
        ("localhost:8787", "must be a URL that begins with http:// or https://"),
        ("http://", "must name a host, as in http://127.0.0.1:8787"),
        ("http:///path", "must name a host, as in http://127.0.0.1:8787"),
        ("http://host:99999", "is not a URL: the host or port cannot be read"),
        ("http://[::1", "is not a URL: the host or port cannot be read"),
        ("http://user:hunter2@host", "must not hold a user name or password; keys belong into their own variables"),
        ("http://host/?api_key=1", "must not have a query or a fragment; the documented path is appended to it"),
        ("http://host/?", "must not have a query or a fragment; the documented path is appended to it"),
        ("http://host/#x", "must not have a query or a fragment; the documented path is appended to it"),
        ("http://ho st/", "must not hold spaces or control characters"),
        ("http://host/a\nb", "must not hold spaces or control characters"),
    ],
)
def test_urls_must_be_the_base_of_an_http_api(tmp_path: Path, url: str, message: str) -> None:
    for name in ("COINSWARM_BINANCE_URL", "CLOUDFLARE_API_BASE_URL"):
        assert fault(tmp_path, **{name: url}) == f"{name}: {message}"


def test_an_api_base_url_that_cannot_be_meant_is_warned_about(tmp_path: Path) -> None:
    assert read(tmp_path, CLOUDFLARE_API_BASE_URL="http://127.0.0.1:1").warnings == (
        "CLOUDFLARE_API_BASE_URL: does not end in /client/v4, where Cloudflare's API lies",
    )
    assert read(
        tmp_path, CLOUDFLARE_API_BASE_URL="http://mirror.example/client/v4", CLOUDFLARE_API_TOKEN="t"
    ).warnings == ("CLOUDFLARE_API_BASE_URL: is not https: the API token would travel readable",)


# --- secrets and placeholders ---


def test_a_token_that_no_header_can_carry_is_refused_unseen(tmp_path: Path) -> None:
    message = fault(tmp_path, CLOUDFLARE_API_TOKEN="se\ncret", COINGECKO_API_KEY="schlüssel")
    assert message.splitlines()[1:] == [
        "  - CLOUDFLARE_API_TOKEN: holds a space, a line break or another character that no key has",
        "  - COINGECKO_API_KEY: holds a space, a line break or another character that no key has",
    ]


def test_placeholders_in_the_environment_are_ignored_by_name(tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("COINGECKO_API_KEY=<your key>\n")
    stack = read(tmp_path, CLOUDFLARE_API_TOKEN="YOUR_TOKEN", CLOUDFLARE_ACCOUNT_ID="REPLACE_ME")
    assert (stack.api_token, stack.account_id, dict(stack.api_keys)) == (None, None, {})
    assert stack.warnings == (
        "CLOUDFLARE_API_TOKEN: holds a placeholder and is ignored",
        "CLOUDFLARE_ACCOUNT_ID: holds a placeholder and is ignored",
        ".dev.vars: COINGECKO_API_KEY: holds a placeholder and is ignored",
    )


@pytest.mark.parametrize(
    "text",
    ["YOUR_D1_DATABASE_ID", "your-database-id", "<unique-ID-for-your-database>", "xxxx", "xxxxxxxx-xxxx", "REPLACE_ME",
     "replace-with-id", "CHANGEME", "change_me", "TODO", "PUT_ID_HERE", "{{ID}}", "${D1_ID}", "...", "placeholder",
     "MY_PLACEHOLDER_ID", " <id> "],
)  # fmt: skip
def test_placeholders_are_recognised(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [ID, "coinswarm-evolution", "historical-data-queue", "todo", "yourself", "your", "maxxxxed", "insert-queue", "here",
     "exchange-metrics", "BTC-USDC", "a<b", "*/30 * * * *", "", "replacements", "placeholders-x1"],
)  # fmt: skip
def test_real_names_are_no_placeholders(text: str) -> None:
    assert not is_placeholder(text)


@pytest.mark.parametrize(
    ("name", "value", "warned"),
    [
        ("CRYPTOCOMPARE_API_KEY", "k", True),
        ("api-key", "k", True),
        ("KEY", "k", True),
        ("AUTH_TOKEN", "k", True),
        ("CLIENT_SECRET", "k", True),
        ("db_password", 1234, True),
        ("COINGECKO", "CG-abc", True),
        ("PLAIN", "0f1e2d3c4b5a69788796a5b4c3d2e1f0", True),
        ("PLAIN", "CG-4xYqRkXbTzWc1aBcDeFgHiJ7", True),
        ("WEBHOOK", "https://user:pw@host/", True),
        ("WEBHOOK", "https://host/?api_key=abc", True),
        ("API_KEY", "", False),
        ("USE_TOKEN", True, False),
        ("TOKENS", "BTC,ETH", False),
        ("MAX_TOKENS", 13, False),
        ("TURNSTILE_SITE_KEY", "abc", False),
        ("PRIMARY_KEY", "id", False),
        ("MONKEY", "banana", False),
        ("DATABASE", ID, False),
        ("SYMBOLS", "BTCUSDT,ETHUSDT,SOLUSDT", False),
        ("URL", "https://data-api.binance.vision/api/v3/klines", False),
        ("BIG", 12345678901234567890123, False),
        ("LONG", "historical-data-collection-2024-01-01", False),
    ],
)
def test_secrets_in_vars_are_warned_about_by_name_alone(tmp_path: Path, name: str, value: object, warned: bool) -> None:
    put(tmp_path, {"vars": {name: value}})
    (tmp_path / "w.json").write_text(json.dumps({"env": {"x": {"vars": {"nested": {name: [value]}}}}}))
    fields = [f"vars.{name}", f"env.x.vars.nested.{name}[0]"] if warned else []
    warnings = [*read(tmp_path).warnings, *read(tmp_path, "w.json").warnings]
    assert [w.split(": ")[1].split(" ")[0] for w in warnings] == fields
    assert warned == (
        bool(value) and not isinstance(value, bool) and (names_a_secret(name) or looks_secret(str(value)))
    )


def test_vars_that_are_no_table_are_refused_unseen(tmp_path: Path) -> None:
    put(tmp_path, {"vars": ["hunter2"]})
    assert fault(tmp_path) == 'wrangler.json: The field "vars" should be an object but got list.'
    (tmp_path / "w.toml").write_text("[vars]\nSINCE = 2025-12-19\n")
    assert fault(tmp_path, "w.toml") == (
        'w.toml: The field "vars.SINCE" is a TOML date, which is not supported.'
        ' Please use a string instead, e.g. SINCE = "2025-12-19".'
    )


def test_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    secret = Secret("hunter2")
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert "hunter2" not in text
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps(secret)
    assert copy.deepcopy(secret) == secret == Secret("hunter2") != Secret("other")
    assert len({secret, Secret("hunter2")}) == 1
    assert secret.reveal() == "hunter2"


SECRETS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="'\"\\#`"), min_size=8, max_size=60
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(secret=SECRETS.filter(lambda s: s.strip("*") != ""), faulty=st.booleans())
def test_no_secret_ever_shows_in_the_stack_its_warnings_or_its_errors(
    tmp_path: Path, secret: str, faulty: bool
) -> None:
    secret = f"S3{secret}S3"
    put(tmp_path, consumer(max_retries=-1 if faulty else 1) | {"vars": {"API_TOKEN": secret, "PLAIN": secret}})
    (tmp_path / ".dev.vars").write_text(f"CRYPTOCOMPARE_API_KEY='{secret}'\n{secret} alone\n")
    environ = {
        "CLOUDFLARE_API_TOKEN": secret + (" \x00" if faulty else ""),
        "COINGECKO_API_KEY": secret,
        "COINSWARM_KRAKEN_URL": f"http://{secret}@host" if faulty else "",
        "COINSWARM_BINANCE_URL": f"http://host/?{secret}" if faulty else "",
    }
    try:
        stack = load(cwd=tmp_path, environ=environ)
    except ConfigError as error:
        assert faulty
        assert secret not in str(error)
        assert secret not in json.dumps(error.as_json())
        return
    assert secret not in repr(stack)
    assert secret not in "".join(stack.warnings)
    with pytest.raises(TypeError):
        pickle.dumps(stack)


@given(secret=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=32, max_size=64).filter(looks_secret))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_a_key_in_the_wrong_place_is_not_repeated_by_the_fault_about_it(tmp_path: Path, secret: str) -> None:
    put(tmp_path, {"name": [secret], "queues": {"consumers": [{"queue": 5, "dead_letter_queue": secret}]}})
    message = fault(tmp_path)
    assert secret not in message
    assert "********" in message


# --- whatever comes ---

ENTRY_KEYS = (
    *("binding", "queue", "type", "max_batch_size", "max_concurrency", "dead_letter_queue", "remote", "foo"),
    *("database_id", "database_name", "preview_database_id", "migrations_dir", "migrations_pattern"),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
ENTRIES = st.lists(st.dictionaries(st.sampled_from(ENTRY_KEYS), ANYTHING, max_size=5) | ANYTHING, max_size=3) | ANYTHING
SECTIONS = {
    "name": ANYTHING,
    "account_id": ANYTHING,
    "vars": st.dictionaries(st.text(max_size=5), ANYTHING, max_size=2) | ANYTHING,
    "triggers": st.fixed_dictionaries({"crons": ANYTHING}) | ANYTHING,
    "d1_databases": ENTRIES,
    "kv_namespaces": ENTRIES,
    "queues": st.fixed_dictionaries({}, optional={"producers": ENTRIES, "consumers": ENTRIES}) | ANYTHING,
}
TABLES = st.fixed_dictionaries({}, optional=SECTIONS)
WITH_ENVIRONMENT = st.fixed_dictionaries(
    {"env": st.dictionaries(st.sampled_from(["env", "other"]), TABLES | ANYTHING)}, optional=SECTIONS
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=250, deadline=None)
@given(table=TABLES | WITH_ENVIRONMENT, other=TABLES)
def test_no_table_whatever_makes_the_reader_fail_otherwise(
    tmp_path: Path, table: dict[str, Any], other: dict[str, Any]
) -> None:
    put(tmp_path, table, "a.json")
    put(tmp_path, other, "b.json")
    try:
        stack = read(tmp_path, "a.json", "b.json", env="env")
    except ConfigError as error:
        assert all("\n" not in line and line.isprintable() for line in error.message.splitlines())
        return
    assert isinstance(repr(stack), str)
