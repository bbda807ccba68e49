#!/usr/bin/env python3
"""The same as station.py by somebody who knows where the time goes, for `ranproof bench station --peer` to compare with.

    tuned.py PREVIOUS CURRENT [--stations N]

Takes the same arguments and prints the same JSON. Reads with lxml (libxml2) into one flat dictionary of leaves by path,
takes the digest of that, compares dictionaries, and checks the rules as plain Python functions. It keeps no object, no
type and no order of lists as such; like station.py it judges nothing by approvals.
"""

import hashlib
import json
import sys

from lxml import etree

from station import AREAS, PLMNS, measure

CODES = frozenset(AREAS)
PERIODS = frozenset(["5", "10", "20", "40", "80", "160"])
STATES = frozenset(["LOCKED", "UNLOCKED", "SHUTTINGDOWN"])
ORDERED = tuple(f"{mcc}-{mnc}" for mcc, mnc in PLMNS)


def agreed(entries):
    """Whether these PLMNs, each with its slice behind it, are the agreed ones in their order."""
    return len(entries) == len(ORDERED) and all(e.startswith(f"{o}-") for e, o in zip(entries, ORDERED))


# By class and attribute: what station.py says as JSON Schema.
RULES = {
    ("NRCellDU", "nRPCI"): lambda v: 0 <= int(v) <= 1007,
    ("NRCellDU", "nRTAC"): CODES.__contains__,
    ("NRCellDU", "ssbPeriodicity"): PERIODS.__contains__,
    ("NRCellDU", "arfcnDL"): lambda v: 626667 <= int(v) <= 633333,
    ("NRCellDU", "administrativeState"): STATES.__contains__,
    ("NRCellDU", "pLMNInfoList"): lambda v: agreed(v.split(",")),
    ("NRSectorCarrier", "configuredMaxTxPower"): lambda v: 100000 <= int(v) <= 240000,
    ("NRSectorCarrier", "arfcnDL"): lambda v: 626667 <= int(v) <= 633333,
    ("NROperatorCellDU", "administrativeState"): lambda v: v == "UNLOCKED",
    ("NROperatorCellDU", "nRTAC"): CODES.__contains__,
}
REQUIRED = {
    "NRCellDU": ("nRPCI", "pLMNInfoList"),
    "NRCellRelation": ("adjacentNRCellRef",),
}


def local(tag):
    return tag.rpartition("}")[2]


def flat(reply):
    """Leaves by (path of the object, class, attribute); a structure or a repeated attribute is one text."""
    leaves = {}
    top = next(etree.fromstring(reply).iter("{*}data"))
    pending = [(child, "") for child in top]
    while pending:
        node, above = pending.pop()
        name, attributes, number, inner = local(node.tag), None, "", []
        for child in node:
            tag = local(child.tag)
            if tag == "id":
                number = child.text
            elif tag == "attributes":
                attributes = child
            else:
                inner.append(child)
        path = f"{above},{name}={number}"
        leaves[path, name, ""] = ""
        for attribute in attributes if attributes is not None else ():
            key = path, name, local(attribute.tag)
            if len(attribute):
                text = "-".join(part.text or "" for part in attribute)
            else:
                text = attribute.text or ""
            leaves[key] = f"{leaves[key]},{text}" if key in leaves else text
        pending.extend((child, path) for child in inner)
    return leaves


def violations(leaves):
    found = []
    for (path, name, attribute), text in leaves.items():
        rule = RULES.get((name, attribute))
        if rule is not None and not rule(text):
            found.append((path, f"{name}.{attribute}", f"{text} is not allowed"))
        if not attribute:
            for wanted in REQUIRED.get(name, ()):
                if (path, name, wanted) not in leaves:
                    found.append((path, f"{name}.{wanted}", "is missing"))
    return found


def station(number, reply, previous, database, clock):
    leaves = flat(reply)
    clock.step("lxml")
    text = repr(sorted(leaves.items()))
    digest = hashlib.sha256(text.encode()).digest()
    clock.step("digest")
    keys = leaves.keys() | previous.keys() if leaves.keys() != previous.keys() else leaves
    changed = [(key, previous.get(key), leaves.get(key)) for key in keys if previous.get(key) != leaves.get(key)]
    clock.step("compare")
    found = violations(leaves)
    clock.step("rules")
    database.execute("INSERT INTO snapshots VALUES (?, ?, ?)", (number, digest, text))
    rows = [(number, "".join(key), old, new) for key, old, new in changed]
    database.executemany("INSERT INTO differences VALUES (?, ?, ?, ?)", rows)
    database.executemany("INSERT INTO violations VALUES (?, ?, ?, ?)", [(number, *row) for row in found])
    clock.step("sqlite")
    return len(changed), len(found)


if __name__ == "__main__":
    sys.exit(measure(__doc__, flat, station))
