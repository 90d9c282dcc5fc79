"""The documentation: every command block is typed into a shell, links lead somewhere, numbers are those measured."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from coinswarm.queue.schema import VERSION
from docs.command_reference import PAGE, reference
from tests.support.cloudflare import TOKEN
from tests.support.command_line import ROOT, wait_until
from tests.support.documentation import PAGES, Block, blocks, typed_outside
from tests.support.local_cloudflare import local_cloudflare
from tests.support.shell import Shell, free_port, shell

DOCS = ROOT / "docs"
BLOCKS = {page: found for page in PAGES if (found := blocks(page))}
FIRST = {"README.md"}
"""What every run of the tests follows; the other pages are followed by `make slow` and CI."""

NOT_RUN = [block for found in BLOCKS.values() for block in found if block.how == "not run"]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=() if page.name in FIRST else (pytest.mark.slow,))
        for page, found in BLOCKS.items()
        if any(block.how != "not run" for block in found)
    ],
)
def test_what_a_page_tells_to_type_works_from_an_empty_folder(page: Path, tmp_path: Path) -> None:
    with ExitStack() as opened:
        variables = {}
        if any(block.on_cloudflare for block in BLOCKS[page]):
            cloudflare = opened.enter_context(local_cloudflare(tmp_path / "cloudflare"))
            variables = {"CLOUDFLARE_API_BASE_URL": cloudflare.url, "CLOUDFLARE_API_TOKEN": TOKEN}
        reader = opened.enter_context(shell(tmp_path / "reader", **variables))
        ports = {"8787": free_port(), "8600": free_port()}
        for block in BLOCKS[page]:
            follow(block, reader, ports)


def follow(block: Block, reader: Shell, ports: dict[str, int]) -> None:
    """Type one block. The ports of the examples may be somebody else's on this machine."""
    script = re.sub(r"(coinswarm (?:dev|serve)\b)", r"\1 --port 8787", block.script)
    script = re.sub("|".join(ports), lambda found: str(ports[found[0]]), script)
    if block.how == "not run":
        return
    if block.how == "second terminal":
        reader.start(script.strip())
        (port,) = [port for port in ports.values() if str(port) in script]
        wait_until(lambda: answers(port), f"{block.place}: {script.strip()} answers")
        return
    done = reader.run(script)
    assert done.returncode == block.exit_code, f"{block.place} ended with {done.returncode}:\n{script}\n{done.stdout}"
    assert "Traceback" not in done.stdout, block.place
    for error in re.findall(r"^✘ .*$", block.text, re.MULTILINE):
        assert error in done.stdout, f"{block.place} promises another error:\n{done.stdout}"


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_block_that_is_not_run_says_why_and_most_blocks_are_run() -> None:
    for block in NOT_RUN:
        assert len(block.reason) > 10, f"{block.place}: <!-- not run: REASON -->"
        print(f"not run: {block.place}: {block.reason}")
    total = sum(map(len, BLOCKS.values()))
    assert total >= 20
    assert len(NOT_RUN) <= 8, [block.place for block in NOT_RUN]


@pytest.mark.parametrize("page", [page for page in PAGES if page != PAGE], ids=lambda page: page.name)
def test_no_command_stands_where_no_test_types_it(page: Path) -> None:
    assert typed_outside(page) == [], "put it into a fence of sh or console, below <!-- not run: REASON --> if need be"


def test_a_command_in_an_indented_block_or_a_bare_fence_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "text\n\n    coinswarm fetch\n\n```\ncoinswarm cron list\n```\n\n```text\n$ curl -X POST\ncrons = []\n```\n\n"
        "```sh\ncoinswarm consume\n```\n\n    a diagram ──▶ of coinswarm fetch\n"
    )
    assert typed_outside(page) == ["coinswarm cron list", "$ curl -X POST", "    coinswarm fetch"]


def test_a_failing_block_fails_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n\n```sh\ncd .. && cd -\nexport LEFT=1\n```\n\n```console\n$ false | cat\nsome output\n```\n")
    first, second = blocks(page)
    assert (first.line, second.script) == (3, "false | cat")
    with shell(tmp_path / "reader") as reader:
        done = reader.run(first.script)
        assert (done.returncode, reader.environment["LEFT"]) == (0, "1")
        assert reader.run(second.script).returncode == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        path = (page.parent / target) if target else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{page.name}: {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_every_page_is_in_the_navigation() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = set(re.findall(r"[\w-]+\.md", str(site["nav"])))
    assert listed == {page.name for page in DOCS.glob("*.md")}


def test_the_format_of_the_queue_file_is_the_one_that_the_code_writes() -> None:
    told = re.findall(r"^Format (\d+) \(`PRAGMA user_version`", (DOCS / "queue.md").read_text(), re.MULTILINE)
    assert told == [str(VERSION)]


def test_the_command_reference_is_what_the_code_says() -> None:
    assert PAGE.read_text() == reference(), "write it again: make docs, or python -m docs.command_reference"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "mkdocs"
    if not program.exists() and shutil.which("mkdocs") is None:
        pytest.skip("mkdocs is not here: `make docs` installs it")
    done = subprocess.run(
        [program if program.exists() else "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Quick start" in (tmp_path / "site" / "index.html").read_text()
