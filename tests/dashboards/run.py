#!/usr/bin/env python3
"""Hold dashboards, recording and alert rules to Grafana's types and to a real Prometheus that watches a demo.

    run.py --program PROGRAM --modules FOLDER --dir FOLDER

promtool checks the rules and runs their tests; the TypeScript compiler holds the dashboards to Grafana's published
types, where wrong types and unknown keys are faults; then a Prometheus on a free port scrapes the demo's agents while
its story is told, and every query is asked:

  * a panel's, an annotation's, a recording rule's query must have at least one series with a number in it at some time
    since the story began. All that a panel may show is provoked by the story: changes, violations, failed stations, a
    killed agent, a halted chain, a dispute;
  * a variable's query must list at least one value;
  * an alert's query must be taken, and each of its vector selectors must have a series: with its threshold it is
    rightly empty where nothing is wrong. That it fires when it should is what promtool's tests show;
  * Prometheus itself must call every rule healthy.

Defects are planted first, and all must be found. Exit codes: 0 nothing was found, 1 something was, 2 it could not be
done.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "browser"))

import engineer  # noqa: E402
import prometheus  # noqa: E402
import schema  # noqa: E402
from prometheus import Prometheus, Refused, api, figures, selectors, wait_until  # noqa: E402
from world import Demo  # noqa: E402

DASHBOARDS = HERE.parent.parent / "dashboards"
FILES = sorted((DASHBOARDS / "json").glob("*.json"))
MEMBERS = 4


class Faults:
    def __init__(self):
        self.lines = []

    def add(self, where, what):
        self.lines.append(f"{where}: {what}")
        print(f"FAULT {self.lines[-1]}", flush=True)


def check_rules(faults):
    """promtool's own judgement of configuration, rules and their tests."""
    folder = DASHBOARDS / "prometheus"
    tests = [f"tests/{file.name}" for file in sorted((folder / "tests").glob("*.yml"))]
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", *tests]):
        result = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            faults.add(f"promtool {' '.join(command[:2])}", (result.stdout + result.stderr).strip())
    print(f"promtool has checked the rules and {len(tests)} files of tests", flush=True)


def check_types(modules, folder, faults):
    for name in schema.planted(FILES[0], modules, folder):
        faults.add("planted defects", f"not found: {name}")
    for line in schema.faults(FILES, modules, folder):
        faults.add("types", line)
    print(f"{len(FILES)} dashboards hold to Grafana's types; planted defects were looked for", flush=True)


def watch(folder, server, stop):
    """Tells Prometheus of each agent as soon as the demo has written its configuration."""
    known = set()
    while not stop.wait(0.3):
        found = set()
        for file in pathlib.Path(folder).glob("*/agent.yaml"):
            try:
                found.add(json.loads(file.read_text())["listen"])
            except ValueError:
                continue  # half written
        if found - known:
            known |= found
            server.scrape(known)


def queries_of(file):
    """Every query of a dashboard with its place."""
    dashboard = json.loads(file.read_text())
    for annotation in dashboard["annotations"]["list"]:
        yield f"{file.name}, annotation {annotation['name']}", annotation["expr"]
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"{file.name}, panel {panel['title']}", target["expr"]


def variables_of(file):
    for variable in json.loads(file.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            yield f"{file.name}, variable {variable['name']}", variable["query"]["query"]


def values_of(base, query, begin, end):
    """What `label_values(SELECTOR, LABEL)` lists."""
    match = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", query)
    if match is None:
        raise Refused(f"`{query}` is no label_values(selector, label)")
    selector = prometheus.expand(match[1])
    series = api(base, "series", **{"match[]": selector}, start=begin, end=end)
    return {one[match[2]] for one in series if match[2] in one}


def ask(faults, place, question):
    """Runs `question`, which gives a count; nothing and refusals are faults. Gives whether it was answered."""
    try:
        if question():
            return True
        faults.add(place, "empty")
    except Refused as error:
        faults.add(place, str(error))
    return False


def check_queries(base, begin, end, faults):
    asked = 0
    for file in FILES:
        for place, query in queries_of(file):
            ask(faults, f"{place}: {query}", lambda query=query: figures(base, query, begin, end))
            asked += 1
        for place, query in variables_of(file):
            ask(faults, f"{place}: {query}", lambda query=query: len(values_of(base, query, begin, end)))
            asked += 1
    print(f"{asked} queries of dashboards asked", flush=True)


def check_live_rules(base, begin, end, faults):
    rules = [rule for group in api(base, "rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            faults.add(rule["name"], f"{rule['health']}: {rule.get('lastError', '')}")
        if rule["type"] == "recording":
            ask(faults, rule["name"], lambda rule=rule: figures(base, rule["name"], begin, end))
            continue
        try:
            api(base, "query", query=rule["query"])
            parts = selectors(rule["query"])
        except Refused as error:
            faults.add(rule["name"], str(error))
            continue
        for part in parts:
            ask(faults, f"{rule['name']}: {part}", lambda part=part: figures(base, part, begin, end))
    if not rules:
        faults.add("rules", "Prometheus has loaded none")
    print(f"{len(rules)} rules asked", flush=True)


def check_planted(base, begin, end, faults):
    """What is wrong on purpose must be found, each with one sentence."""
    found = Faults()
    found.add = lambda where, what: found.lines.append(f"{where}: {what}")
    ask(found, "unknown metric", lambda: figures(base, "ranproof_nothing", begin, end))
    ask(found, "no number", lambda: figures(base, "0 * up / 0", begin, end))
    ask(found, "bad query", lambda: figures(base, "sum(", begin, end))
    ask(found, "unknown variable", lambda: figures(base, "up{a=~\"$site\"}", begin, end))
    ask(found, "no value", lambda: len(values_of(base, "label_values(up, nothing)", begin, end)))
    if len(found.lines) != 5:
        faults.add("planted defects", f"found only {found.lines}")
    try:
        api("http://127.0.0.1:9", "query", query="up")
        faults.add("planted defects", "a Prometheus that is not there answered")
    except RuntimeError as error:
        if "does not answer" not in str(error) or "hint:" not in str(error):
            faults.add("planted defects", f"a Prometheus that is not there: {error}")


def settled(base):
    """All agents answer, and the newest figures are in the rules."""
    up = api(base, "query", query='count(up{job="ranproof"} == 1)')["result"]
    return bool(up) and up[0]["value"][1] == str(MEMBERS)


def open_one_more(program, world, base):
    """A violation that opens while Prometheus watches: a quick story is over before the first scrape, and then its
    counters stand still."""
    counted = 'sum(ranproof_violations_opened_total{operator="telecom"})'

    def count():
        result = api(base, "query", query=counted)["result"]
        return float(result[0]["value"][1]) if result else None

    before = wait_until("Prometheus knows the violations so far", count)
    engineer.raise_power(world, 240_000)
    if engineer.round_that_finds_it(program, world) == 0:
        raise RuntimeError("a round after an unapproved change opened no violation")
    wait_until("Prometheus has seen the new violation", lambda: count() > before)


def check_live(program, folder, faults):
    world = folder / "world"
    shutil.rmtree(world, ignore_errors=True)
    with Prometheus(DASHBOARDS / "prometheus/prometheus.yml", folder / "prometheus") as server:
        stop = threading.Event()
        watcher = threading.Thread(target=watch, args=(world, server, stop))
        begin = time.time()
        try:
            with Demo(program, str(world)) as demo:
                watcher.start()
                pages = {urllib.parse.urlsplit(page).netloc for page in demo.summary()["pages"]}
                wait_until("Prometheus reaches all agents", lambda: settled(server.base))
                seen = {target["discoveredLabels"]["__address__"] for target in api(server.base, "targets")["activeTargets"]}
                if seen != pages:
                    faults.add("targets", f"Prometheus scrapes {sorted(seen)}, the pages are at {sorted(pages)}")
                open_one_more(program, world, server.base)
                # The last step of a range may lie before its end.
                end = time.time() + prometheus.STEP
                print(f"the story took {end - begin:.0f} s", flush=True)
                check_queries(server.base, begin, end, faults)
                check_live_rules(server.base, begin, end, faults)
                check_planted(server.base, begin, end, faults)
                fired = figures_of_alerts(server.base, begin, end)
                print(f"alerts during the story: {', '.join(sorted(fired)) or 'none'}", flush=True)
        finally:
            stop.set()
            if watcher.ident is not None:
                watcher.join()


def figures_of_alerts(base, begin, end):
    series = api(base, "query_range", query='ALERTS{alertstate="firing"}', start=begin, end=end, step=1)["result"]
    return {one["metric"]["alertname"] for one in series}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, help="the `ranproof` to play the demo with")
    parser.add_argument("--modules", type=pathlib.Path, required=True, help="where npm put Grafana's types")
    parser.add_argument("--dir", type=pathlib.Path, required=True, help="folder for everything this makes")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    faults = Faults()
    try:
        check_rules(faults)
        check_types(options.modules, options.dir / "types", faults)
        check_live(options.program, options.dir, faults)
    except (OSError, RuntimeError, TimeoutError) as error:
        print(f"error: could not check the dashboards: {error}", file=sys.stderr)
        return 2
    print(f"{len(faults.lines)} faults")
    return 1 if faults.lines else 0


if __name__ == "__main__":
    sys.exit(main())
