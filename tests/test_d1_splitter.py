"""SQL text into statements: SQLite's own rules, whatever stands in strings, comments and triggers."""

from __future__ import annotations

import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coinswarm.d1.splitter import quoted, split, verb

TRIGGER = (
    "CREATE TRIGGER t AFTER INSERT ON a BEGIN\r\n  UPDATE a SET n = CASE WHEN 1 THEN 2 END;\r\n  SELECT ';';\r\nEND;"
)

MARKS = [
    "'",
    '"',
    "`",
    "[",
    "]",
    ";",
    "--",
    "/*",
    "*/",
    "*",
    "/",
    "-",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\f",
    "(",
    "?",
    "é",
    "_1$",
]
WORDS = ["create", "CREATE", "temp", "TEMPORARY", "trigger", "TRIGGER", "Explain", "begin", "end", "END", "ending", "x"]
fragments = st.sampled_from([*MARKS, *WORDS])
sql_texts = st.lists(fragments, max_size=40).map("".join)


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1;", "SELECT 2;"]),
        (";;  ; SELECT 1 ;; ", ["SELECT 1 ;"]),
        ("SELECT ';' || \";\" || `;` || [;]; SELECT 2", ["SELECT ';' || \";\" || `;` || [;];", "SELECT 2"]),
        ("SELECT 'it''s; fine'; SELECT 2", ["SELECT 'it''s; fine';", "SELECT 2"]),
        ("-- one; two\nSELECT 1; -- three;\n/* four; */ SELECT 2;", ["SELECT 1;", "SELECT 2;"]),
        ("SELECT 1 -- ;\n, 2; SELECT 3 /* ; */", ["SELECT 1 -- ;\n, 2;", "SELECT 3 /* ; */"]),
        (f"{TRIGGER}\r\nSELECT 1;", [TRIGGER, "SELECT 1;"]),
        (f"{TRIGGER.lower()} {TRIGGER}", [TRIGGER.lower(), TRIGGER]),
        ("create temp trigger t after delete on a begin select 1; end; select 2", None),
        ("CREATE/**/TRIGGER--\nt BEGIN SELECT 1; /* END; */ END ; SELECT 2", None),
        ("EXPLAIN CREATE TRIGGER t BEGIN SELECT 1; END; SELECT 2", None),
        ("CREATE TABLE trigger_log (a); SELECT 2", ["CREATE TABLE trigger_log (a);", "SELECT 2"]),
        ("CREATE TRIGGER t BEGIN SELECT 1; END", ["CREATE TRIGGER t BEGIN SELECT 1; END"]),
        ("SELECT 'open; SELECT 2;", ["SELECT 'open; SELECT 2;"]),
        ("/* open; SELECT 2;", []),
        ("\ufeffSELECT 1;", ["SELECT 1;"]),
        ("SELECT 2 - 1; SELECT 4 / 2;", ["SELECT 2 - 1;", "SELECT 4 / 2;"]),
        ("", []),
        (" \n -- nothing", []),
    ],
)
def test_statements_end_where_sqlite_ends_them(text: str, statements: list[str] | None) -> None:
    if statements is None:
        assert len(split(text)) == 2
    else:
        assert split(text) == statements


@given(sql_texts)
def test_each_piece_is_what_sqlite_calls_complete_and_no_shorter_one_is(text: str) -> None:
    for statement in split(text)[:-1]:
        assert sqlite3.complete_statement(statement)
        inner = [i + 1 for i, char in enumerate(statement[:-1]) if char == ";"]
        assert not any(sqlite3.complete_statement(statement[:end]) for end in inner)


@given(sql_texts)
def test_splitting_loses_nothing_but_space_comments_and_empty_statements(text: str) -> None:
    pieces = split(text)
    assert split("\n".join(pieces)) == pieces
    rest = text
    for number, piece in enumerate(pieces, start=1):  # a comment may hold the same letters
        starts = [at for at in range(len(rest)) if rest.startswith(piece, at) and split(rest[:at]) == []]
        ends = [at + len(piece) for at in starts if split(rest[at + len(piece) :]) == pieces[number:]]
        assert ends
        rest = rest[ends[0] :]
    assert split(rest) == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '" + ";" * 300_000 + "';",
        "CREATE TRIGGER t BEGIN " + ";" * 300_000,
        "CREATE TRIGGER t BEGIN " + "SELECT 1; " * 30_000 + "END;",
        "-" * 300_000,
        "/*" * 150_000,
        "SELECT 1;" * 30_000,
        "(" * 300_000,
    ],
    ids=["string", "semicolons", "long trigger", "hyphens", "comments", "many", "parentheses"],
)
def test_hostile_text_takes_no_longer_than_its_length(text: str) -> None:
    started = time.perf_counter()
    split(text)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select 1", "SELECT"),
        ("/* c */ -- d\n insert into t values (1)", "INSERT"),
        ("WITH x(a) AS (SELECT 1), y AS (DELETE) INSERT INTO t SELECT a FROM x", "INSERT"),
        ("with recursive x as (values (1)) select * from x", "SELECT"),
        ("EXPLAIN DELETE FROM t", "EXPLAIN"),
        ("; begin", "BEGIN"),
        ("WITH x", "WITH"),
        ("'text' SELECT", "'text'"),
        ("-- nothing", ""),
    ],
)
def test_the_verb_says_what_a_statement_does(sql: str, word: str) -> None:
    assert verb(sql) == word


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_can_be_quoted(name: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t ({quoted(name)})")
    assert connection.execute("PRAGMA table_info(t)").fetchone()[1] == name
    connection.close()
