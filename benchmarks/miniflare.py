"""A drain beside what one would pick instead: Cloudflare's local stack, Miniflare, with two consumers, in one run.

    python -m benchmarks.miniflare [--candles 100000] [--runs 3]

Miniflare keeps its queue in memory and forgets it on restart; ours is a file, durable before `send` returns. Its D1 is
on disk, as ours is. `single_rows` is the original's consumer (a prepared statement a row, a hundred a batch),
`json_each` the best one for it (a batch of messages in one statement). Same messages of ten candles, batches of 100;
sending is not in the figures. Miniflare refuses bursts over 10,000 messages, which bounds `--candles`.

Every run measures all three right after each other, and the ratios are taken within the run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.pipeline import ORIGINAL, OWN, Files, folder, market
from benchmarks.results import save
from coinswarm.candles import Candle
from coinswarm.payload import pack

NODE = Path(__file__).parent.parent / "tests" / "node"
CONSUMERS = ("single_rows", "json_each")
BURST_MESSAGES = 10_000


def miniflare(place: Path, schema: str, candles: list[Candle], consumer: str) -> float:
    """Rows a second."""
    messages = place / "messages.ndjson"
    messages.write_bytes(b"".join(body + b"\n" for body, _ in pack(candles)))
    done = subprocess.run(
        [
            "node",
            str(Path(__file__).with_name("miniflare_drain.mjs")),
            str(NODE),
            str(messages),
            str(place / consumer),
            consumer,
        ],
        input=schema,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["rows"] == len(candles), found
    assert abs(found["close"] - sum(candle.close for candle in candles)) < 1, found
    return len(candles) / float(found["seconds"])


def ours(place: Path, schema: str, candles: list[Candle]) -> float:
    """Rows a second."""
    files = Files(place, schema)
    files.enqueue(candles)
    report = files.drain()
    files.close()
    assert report.rows.inserted == len(candles), report
    return report.rows_per_second


def one_run(schema: str, candles: list[Candle]) -> dict[str, float]:
    with folder() as place:
        rates = {f"miniflare_{name}": miniflare(place, schema, candles, name) for name in CONSUMERS}
        rates["coinswarm"] = ours(place, schema, candles)
    return {f"{name}_rows_per_second": rate for name, rate in rates.items()} | {
        f"coinswarm_to_miniflare_{name}": rates["coinswarm"] / rates[f"miniflare_{name}"] for name in CONSUMERS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    manifest = NODE / "node_modules" / "miniflare" / "package.json"
    if shutil.which("node") is None or not manifest.exists():
        print("not measured: Node or miniflare is not here; `make test` installs it where npm is", file=sys.stderr)
        return
    candles = market(options.candles)
    if len(candles) > BURST_MESSAGES * 10:
        parser.error("Miniflare's queue takes no burst of more than 10,000 messages: at most 100000 candles")
    figures: dict[str, object] = {
        "candles": len(candles),
        "runs": options.runs,
        "miniflare": json.loads(manifest.read_text())["version"],
    }
    for name, schema in (("own_table", OWN), ("original_table", ORIGINAL)):
        found = [one_run(schema, candles) for _ in range(options.runs)]
        part = {key: statistics.median(run[key] for run in found) for key in found[0]}
        figures[name] = part
        print(name)
        for key, value in part.items():
            print(f"  {key:<40} {value:>12,.2f}")
    print(f"written to {save('miniflare', figures)}")


if __name__ == "__main__":
    main()
