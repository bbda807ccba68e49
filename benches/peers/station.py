#!/usr/bin/env python3
"""What an operator's own script would do with one station, for `ranproof bench station` to compare with.

    station.py PREVIOUS CURRENT [--stations N]

PREVIOUS and CURRENT are NETCONF replies of one station. For each of N stations it reads CURRENT (xmltodict), takes
its digest, compares it with PREVIOUS (DeepDiff), checks the rules (jsonschema) and writes snapshot, differences and
violations (SQLite). Prints JSON: CPU milliseconds per station, differences, violations, and each step's share.

Written to be fast within its means: PREVIOUS is read once and kept, lists are keyed by `id` before they are compared
(DeepDiff then need not align them), validators are compiled once, there is one connection, and all stations go into
one transaction. Against it: nothing that ranproof does beside this, such as judging by approvals, is done here.
"""

import argparse
import hashlib
import json
import pathlib
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict

import xmltodict
from deepdiff import DeepDiff
from jsonschema import Draft202012Validator

# Rules by class, of the kind that an agreement gives: PLMNs in their order, codes, ranges, nobody locked out.
PLMNS = [("460", "11"), ("460", "01")]
AREAS = [str(code) for code in range(4601, 4609)]
RULES = {
    "NRCellDU": {
        "properties": {
            "nRPCI": {"type": "integer", "minimum": 0, "maximum": 1007},
            "nRTAC": {"enum": AREAS},
            "ssbPeriodicity": {"enum": ["5", "10", "20", "40", "80", "160"]},
            "arfcnDL": {"type": "integer", "minimum": 626667, "maximum": 633333},
            "administrativeState": {"enum": ["LOCKED", "UNLOCKED", "SHUTTINGDOWN"]},
            "pLMNInfoList": {
                "prefixItems": [
                    {"properties": {"mcc": {"const": mcc}, "mnc": {"const": mnc}}} for mcc, mnc in PLMNS
                ],
                "minItems": len(PLMNS),
                "maxItems": len(PLMNS),
            },
        },
        "required": ["nRPCI", "pLMNInfoList"],
    },
    "NRSectorCarrier": {
        "properties": {
            "configuredMaxTxPower": {"type": "integer", "minimum": 100000, "maximum": 240000},
            "arfcnDL": {"type": "integer", "minimum": 626667, "maximum": 633333},
        },
    },
    "NROperatorCellDU": {"properties": {"administrativeState": {"const": "UNLOCKED"}, "nRTAC": {"enum": AREAS}}},
    "NRCellRelation": {"required": ["adjacentNRCellRef"]},
}
NUMBERS = ("nRPCI", "arfcnDL", "configuredMaxTxPower")
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in RULES.items()}

TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE snapshots (station INTEGER, digest BLOB, document TEXT);
CREATE TABLE differences (station INTEGER, path TEXT, old TEXT, new TEXT);
CREATE TABLE violations (station INTEGER, object TEXT, rule TEXT, message TEXT);
"""


def keyed(node):
    """The same with every list of objects as a dictionary by `id`, so that objects are compared with themselves."""
    if isinstance(node, dict):
        return {name: keyed(child) for name, child in node.items()}
    if isinstance(node, list) and all(isinstance(entry, dict) and "id" in entry for entry in node):
        return {entry["id"]: keyed(entry) for entry in node}
    return node


def read(reply):
    return xmltodict.parse(reply)["rpc-reply"]["data"]


def objects(node, name="", path=""):
    """(class, path, attributes) of every object."""
    if isinstance(node, list):
        for entry in node:
            yield from objects(entry, name, path)
    elif isinstance(node, dict):
        if "id" in node:
            path = f"{path},{name}={node['id']}"
            yield name, path, node.get("attributes") or {}
        for child, content in node.items():
            if child not in ("id", "attributes") and isinstance(content, (dict, list)):
                yield from objects(content, child, path)


def violations(document):
    found = []
    for name, path, attributes in objects(document):
        validator = VALIDATORS.get(name)
        if validator is None:
            continue
        typed = {k: int(v) if k in NUMBERS else v for k, v in attributes.items()}
        for error in validator.iter_errors(typed):
            found.append((path, error.json_path, error.message))
    return found


class Clock:
    """CPU seconds by step."""

    def __init__(self):
        self.steps = defaultdict(float)
        self.last = time.process_time()

    def step(self, name):
        now = time.process_time()
        self.steps[name] += now - self.last
        self.last = now


def station(number, reply, previous, database, clock):
    document = read(reply)
    clock.step("xmltodict")
    text = json.dumps(document, sort_keys=True)
    digest = hashlib.sha256(text.encode()).digest()
    clock.step("digest")
    changed = DeepDiff(previous, keyed(document)).get("values_changed", {})
    clock.step("deepdiff")
    found = violations(document)
    clock.step("jsonschema")
    database.execute("INSERT INTO snapshots VALUES (?, ?, ?)", (number, digest, text))
    rows = [(number, path, str(c["old_value"]), str(c["new_value"])) for path, c in changed.items()]
    database.executemany("INSERT INTO differences VALUES (?, ?, ?, ?)", rows)
    database.executemany("INSERT INTO violations VALUES (?, ?, ?, ?)", [(number, *row) for row in found])
    clock.step("sqlite")
    return len(changed), len(found)


def main():
    return measure(__doc__, lambda reply: keyed(read(reply)), station)


def measure(about, prepare, station):
    """Prints what `station` costs; `prepare` makes of a reply what it compares with. Other peers call this too."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("previous", type=pathlib.Path)
    parser.add_argument("current", type=pathlib.Path)
    parser.add_argument("--stations", type=int, default=20)
    options = parser.parse_args()
    previous = prepare(options.previous.read_bytes())
    reply = options.current.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(pathlib.Path(folder) / "peer.db")
        database.executescript(TABLES)
        # Once outside the figures, as the other side does: imports, caches, compiled patterns.
        station(0, reply, previous, database, Clock())
        database.commit()
        clock = Clock()
        for number in range(options.stations):
            counts = station(number + 1, reply, previous, database, clock)
        database.commit()
        clock.step("sqlite")
        database.close()
    milliseconds = {name: seconds * 1000 / options.stations for name, seconds in clock.steps.items()}
    result = {
        "cpu_ms_per_station": round(sum(milliseconds.values()), 3),
        "stations": options.stations,
        "diffs": counts[0],
        "violations": counts[1],
        "steps_ms": {name: round(value, 3) for name, value in milliseconds.items()},
    }
    json.dump(result, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
