"""Writes, checks and runs the dashboards of deploy/grafana and the rules of deploy/prometheus.

  tools/dashboards write              write deploy/grafana/dashboards from the definitions
  tools/dashboards check              compare them with the definitions; check PromQL, rules, alerts and names
  tools/dashboards scrape [PROGRAM]   let a real Prometheus with the rules scrape a collector
                                      (default: target/debug/holdfast), with a
                                      database that is stopped at the end
  tools/dashboards run URL            run every SQL query on a database; each must return rows
      --hours N --until TIME          time range of the dashboards (default: 24 hours until now)
      --times N                       run everything N times and print the last times (default 1)
      --ms N                          fail if a query takes longer, by the clock and by processor time
      --empty                         a panel may be empty
      --quiet                         print failures only

Exit codes: 0 everything is as it should be, 1 it is not, 2 invalid arguments, 3 the database cannot be used.
"""

import argparse
import datetime
import sys

from . import build, rules, run, scrape


def main():
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="tools/dashboards", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write")
    commands.add_parser("check")
    commands.add_parser("scrape").add_argument("program", nargs="?", default="target/debug/holdfast")
    running = commands.add_parser("run")
    running.add_argument("url")
    running.add_argument("--hours", type=float, default=24)
    running.add_argument("--until")
    running.add_argument("--times", type=int, default=1)
    running.add_argument("--ms", type=float)
    running.add_argument("--empty", action="store_true")
    running.add_argument("--quiet", action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "write":
        build.write()
        return 0
    if arguments.command == "check":
        return rules.check()
    if arguments.command == "scrape":
        return scrape.check(arguments.program)
    return run_all(arguments)


def run_all(arguments):
    """Runs all queries with the first values of the variables, then with the last ones."""
    end = datetime.datetime.now(datetime.timezone.utc)
    if arguments.until:
        end = datetime.datetime.fromisoformat(arguments.until).replace(tzinfo=datetime.timezone.utc)
    period = run.Period(end - datetime.timedelta(hours=arguments.hours), end)
    try:
        server = run.Server(arguments.url)
    except OSError as error:
        print(f"the database cannot be used: {error}", file=sys.stderr)
        return 3
    for _ in range(arguments.times - 1):
        list(run.run(server, period, lambda choices: choices[0], need_rows=False))
    results = []
    # With a router and a peer selected, a panel may be empty.
    for label, pick, need_rows in (("", 0, not arguments.empty), ("last values", -1, False)):
        for result in run.run(server, period, lambda choices, pick=pick: choices[pick], need_rows):
            judge_time(result, arguments.ms)
            results.append(result)
            if result.failure or not arguments.quiet:
                print(line(result, label), flush=True)
    failures = sum(result.failure is not None for result in results)
    slowest = max(result.elapsed for result in results)
    print(f"{len(results)} queries, {failures} failed, slowest {slowest:.0f} ms")
    return 1 if failures else 0


def judge_time(result, milliseconds):
    """Marks a query that took longer than is allowed, by the clock; on a busy machine by processor time."""
    spent = result.elapsed if result.processor is None else min(result.elapsed, result.processor)
    if not result.failure and milliseconds and spent > milliseconds:
        result.failure = "too slow"


def line(result, label):
    """One line of the table."""
    processor = "-" if result.processor is None else f"{result.processor:.0f}"
    numbers = f"{result.rows:>6} rows {result.elapsed:>8.0f} ms {processor:>6} ms CPU"
    board = result.board.partition(" / ")[2]
    return f"{board:<26} {result.panel:<46} {numbers}  {label}  {result.failure or ''}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
