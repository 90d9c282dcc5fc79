"""Switching cron triggers off and on in wrangler files, of which nothing else may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from coinswarm.config.read import parse_table
from coinswarm.cron.switch import Switched, switch, switched_off
from coinswarm.errors import UsageError

TOML = """# the producer
name = "producer"   # not [triggers]
note = "crons = ['1 1 1 1 1']"

[triggers]          # when it runs
crons = ["*/30 * * * *"]  # twice an hour

[[queues.producers]]
binding = "Q"       # keep me
queue = "q"
"""
JSONC = """{
  // the producer
  "name": "producer",
  "triggers": {
    /* when it runs */
    "crons": ["*/30 * * * *", "0 3 * * SUN"] // twice an hour, and on Sundays
  },
  "compatibility_flags": ["nodejs_compat"]
}
"""


def put(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def flip(file: Path, name: str | None = None, *, on: bool = False, env_name: str | None = None) -> Switched:
    return switch([file], name, env_name=env_name, on=on)


def crons(file: Path) -> object:
    table = parse_table(file, file.read_text())
    assert table is not None
    return table["triggers"]["crons"]


def test_off_leaves_the_expression_as_a_comment_and_on_restores_the_file_to_the_letter(tmp_path: Path) -> None:
    file = put(tmp_path, "wrangler.toml", TOML)
    switched = flip(file)
    assert switched == Switched(file, ("*/30 * * * *",), ())
    assert crons(file) == []
    assert file.read_text() == TOML.replace('["*/30 * * * *"]', '[\n    # off: "*/30 * * * *"\n]')
    assert flip(file, on=True).active == ("*/30 * * * *",)
    assert file.read_text() == TOML


def test_one_of_several_in_json_with_comments(tmp_path: Path) -> None:
    file = put(tmp_path, "wrangler.jsonc", JSONC)
    assert flip(file, "0 3 * * sun").active == ("*/30 * * * *",)
    assert crons(file) == ["*/30 * * * *"]
    assert file.read_text() == JSONC.replace(
        '["*/30 * * * *", "0 3 * * SUN"]', '["*/30 * * * *",\n      // off: "0 3 * * SUN"\n    ]'
    )
    assert flip(file, "*/30 * * * *").active == ()
    assert crons(file) == []
    assert flip(file, "producer", on=True).changed == ("*/30 * * * *", "0 3 * * SUN")
    assert file.read_text() == JSONC


def test_what_is_said_behind_a_trigger_survives_switching_another_one(tmp_path: Path) -> None:
    array = '[\n    "0 * * * *", # hourly\n    "5 5 * * *", # and early\n]'
    text = f'name = "a"\n[triggers]\ncrons = {array}\n'
    file = put(tmp_path, "w.toml", text)
    flip(file, "0 * * * *")
    flip(file, "5 5 * * *")
    assert '# off: "0 * * * *", # hourly' in file.read_text()
    flip(file, on=True)
    assert file.read_text() == text


def test_words_behind_a_trigger_that_is_off_are_a_comment_when_it_is_on(tmp_path: Path) -> None:
    file = put(tmp_path, "w.toml", '[triggers]\ncrons = [\n    # off: "0 * * * *" too many\n]\n')
    assert flip(file, on=True).active == ("0 * * * *",)
    assert '"0 * * * *", # too many' in file.read_text()


def test_comments_inside_the_array_stay_where_they_were(tmp_path: Path) -> None:
    array = '[\n    # for the day\n    "0 * * * *",  # hourly\n    "5 5 * * *",  # and early\n]'
    text = f'name = "a"\n[triggers]\ncrons = {array}\n'
    file = put(tmp_path, "w.toml", text)
    flip(file, "0 * * * *")
    assert file.read_text() == text.replace('"0 * * * *",  # hourly', '# off: "0 * * * *",  # hourly')
    assert crons(file) == ["5 5 * * *"]


LAYOUTS = [
    '["1 1 * * *"]',
    '[ "1 1 * * *" ]',
    '["1 1 * * *", "2 2 * * *"]',
    '["1 1 * * *",  "2 2 * * *", "3 3 * * *" ]',
    '[\n  "1 1 * * *",\n  "2 2 * * *"\n]',
    '[\n  "1 1 * * *"\n]',
    '[\n\t"1 1 * * *" ,\n\n\t"2 2 * * *",\n]',
    '["1 1 * * *",\n "2 2 * * *"]',
]
IN_TOML = [
    *LAYOUTS,
    "['1 1 * * *']",
    '[\n  # first\n  "1 1 * * *",   # one\n  "2 2 * * *", # two\n  # last\n]',
    '[ # of the day\n  "1 1 * * *" # one\n]',
]
IN_JSON = [
    *LAYOUTS,
    '["1 1 * * *" /* half */]',
    '[/* of */ "1 1 * * *", /* the */ "2 2 * * *" /* day */]',
    '[\n  /* one */ "1 1 * * *", // said\n  "2 2 * * *" /* two */\n]',
]
WRITTEN = [
    *[("wrangler.toml", 'name = "a"\n[triggers]\n  crons = {}  # when\nx = 1\n', array) for array in IN_TOML],
    *[("w.jsonc", '{{\n  "triggers": {{ "crons": {} }}, // when\n  "name": "a"\n}}\n', array) for array in IN_JSON],
]


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("name", "around", "array"), WRITTEN, ids=[f"{w[0]} {w[2]}" for w in WRITTEN])
def test_however_the_array_is_laid_out_off_and_on_again_is_the_file_to_the_letter(
    tmp_path: Path, name: str, around: str, array: str, newline: str
) -> None:
    file, before = tmp_path / name, around.format(array).replace("\n", newline).encode()
    file.write_bytes(before)
    every = flip(file).changed
    off = file.read_bytes()
    assert crons(file) == []
    assert off.count(b"\n") == off.count(newline.encode())
    flip(file, on=True)
    assert file.read_bytes() == before
    for one in every:
        flip(file, one)
        assert crons(file) == [other for other in every if other != one]
        flip(file, one, on=True)
        assert file.read_bytes() == before


def test_a_trigger_on_a_line_of_its_own_is_off_by_what_is_put_in_front_of_it_alone(tmp_path: Path) -> None:
    text = '{\r\n  "triggers": { "crons": [\r\n     "1 1 * * *" , /* half */\r\n\t"2 2 * * *"\r\n  ] }\r\n}\r\n'
    file = tmp_path / "w.jsonc"
    file.write_bytes(text.encode())
    flip(file)
    off = text.replace('"1 1', '// off: "1 1').replace('"2 2', '// off:"2 2')
    assert file.read_bytes().decode() == off
    assert switched_off([file], None) == {"w": "2 2 * * *"}


@pytest.mark.parametrize(
    "text",
    [
        'name = "a"\ntriggers.crons = ["0 * * * *"]\n',
        'name = "a"\ntriggers = { crons = ["0 * * * *"] }\n',
        'name = "a"\ncompatibility_flags = ["0 * * * *"]\ntriggers = { "crons" = [ \'0 * * * *\' ] }\n',
        'name = "a"\r\n[triggers]\r\ncrons = ["0 * * * *"]\r\n',
    ],
)
def test_however_toml_writes_it_the_right_array_is_found(tmp_path: Path, text: str) -> None:
    file = tmp_path / "w.toml"
    file.write_bytes(text.encode())
    flip(file)
    assert crons(file) == []
    flip(file, on=True)
    assert crons(file) == ["0 * * * *"]


def test_the_environments_own_triggers_are_switched_and_the_top_level_stays(tmp_path: Path) -> None:
    text = 'name = "a"\n[triggers]\ncrons = ["0 * * * *"]\n[env.live.triggers]\ncrons = ["0 * * * *"]\n'
    file = put(tmp_path, "w.toml", text)
    assert flip(file, "a-live", env_name="live").active == ()
    assert crons(file) == ["0 * * * *"]
    assert flip(file, "a").active == ()


def test_what_cannot_be_switched_is_told_and_changes_nothing(tmp_path: Path) -> None:
    one, other = put(tmp_path, "one.toml", TOML), put(tmp_path, "other.toml", TOML.replace('"producer"', '"importer"'))
    with pytest.raises(UsageError, match="which cron trigger is not clear"):
        switch([one, other], None, env_name=None, on=False)
    assert switch([one, other], "importer", env_name=None, on=False).file == other
    with pytest.raises(UsageError, match="no cron trigger 'importer' is on in"):
        switch([one, other], "importer", env_name=None, on=False)
    with pytest.raises(UsageError, match=r"no cron trigger is off in one\.toml"):
        flip(one, on=True)
    with pytest.raises(UsageError, match="no file to change"):
        switch([], None, env_name=None, on=False)
    assert one.read_text() == TOML


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    real = put(tmp_path, "real.toml", TOML)
    real.chmod(0o640)
    link = tmp_path / "wrangler.toml"
    link.symlink_to(real)
    flip(link)
    assert link.is_symlink()
    assert crons(real) == []
    assert real.stat().st_mode & 0o777 == 0o640
