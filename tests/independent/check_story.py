#!/usr/bin/env python3
"""Check what `./demo --once --json` printed against the story it must tell.

The demo checks itself too; this does so again from its output alone. Exit codes: 0 it went as told, 1 it did not,
2 the file cannot be read.
"""

import json
import pathlib
import sys

KEYS = {
    "operators", "validators", "stations", "rounds", "collected", "failed", "changes", "violations", "height",
    "bundles", "pages",
}
VIOLATION_KEYS = {
    "id", "element", "object", "attribute", "old", "new", "rule", "severity", "authorisation", "state",
}
# What the story does without approval, as (attribute, authorisation).
TOLD = (
    ("configuredMaxTxPower", "unapproved"),
    ("pLMNInfoList", "unapproved"),
    ("administrativeState", "no-right"),
    ("configuredMaxTxPower", "exceeded"),
    (None, "early"),
    (None, "late"),
    ("@object", "unapproved"),
)
# Words of the collector for an answer that is none, whichever it happens to be.
GARBAGE = {"framing", "not-utf8", "not-xml", "bad-reply", "hello", "ssh", "closed", "too-large"}


def faults(story):
    """Everything that is not as told, as sentences."""
    missing = KEYS - story.keys()
    if missing:
        return [f"keys are missing: {', '.join(sorted(missing))}"]
    return [*of_the_round(story), *of_the_violations(story["violations"]), *of_the_bundles(story)]


def of_the_round(story):
    accounted = story["collected"] + story.get("unchanged", 0) + story.get("skipped", 0) + len(story["failed"])
    if accounted != story["stations"]:
        yield f"{story['stations']} stations, but {accounted} accounted for"
    changes = story["changes"]
    if changes["observed"] != changes["authorised"] + changes["unauthorised"] or not changes["authorised"]:
        yield f"changes do not add up: {changes}"
    if len({entry["element"] for entry in story["failed"]}) != len(story["failed"]):
        yield "a station failed twice in one round"
    reasons = [entry["reason"] for entry in story["failed"]]
    for name, words in (("unreachable", {"unreachable"}), ("host key", {"host-key-mismatch"}), ("garbage", GARBAGE)):
        if not words & set(reasons):
            yield f"no station failed for the reason {name}: {reasons}"
    if story["rounds"] < 3 or story["height"] < 1 or story["operators"] < 2 or story["validators"] < 1:
        yield "too few rounds, blocks, operators or validators"
    if not story["pages"] or not all(page.startswith("http://127.0.0.1:") for page in story["pages"]):
        yield f"pages are not on loopback: {story['pages']}"


def of_the_violations(violations):
    for violation in violations:
        missing = VIOLATION_KEYS - violation.keys()
        if missing:
            yield f"violation {violation.get('id')} lacks {', '.join(sorted(missing))}"
            return
        if not str(violation["object"]).startswith(str(violation["element"])):
            yield f"violation {violation['id']}: the object is not the element's"
    for names in (("id",), ("object", "attribute", "rule")):
        seen = [tuple(violation[name] for name in names) for violation in violations]
        if len(set(seen)) != len(seen):
            yield f"two violations with one {' and '.join(names)}"
    found = [(violation["attribute"], violation["authorisation"]) for violation in violations]
    for attribute, authorisation in TOLD:
        if not any(authorisation == verdict and attribute in (None, name) for name, verdict in found):
            yield f"no violation {authorisation} of {attribute or 'any attribute'}"
    if not any(violation["state"] == "resolved" for violation in violations):
        yield "no violation was resolved, though one value was put back"
    if any(violation["authorisation"] in ("exact", "restored", "by-right", "standing") for violation in violations):
        yield "an authorised change is listed as a violation"


def of_the_bundles(story):
    bundles = story["bundles"]
    if not bundles:
        yield "no bundle was written"
    for bundle in bundles:
        if bundle["result"] != "verified":
            yield f"bundle of {bundle['subject']} is {bundle['result']}"
        for name in ("file", "trust"):
            if not pathlib.Path(bundle[name]).is_file():
                yield f"bundle of {bundle['subject']}: no {name} at {bundle[name]}"
    subjects = {bundle["subject"] for bundle in bundles}
    still_open = {violation["id"] for violation in story["violations"] if violation["state"] == "open"}
    for missing in sorted(still_open - subjects):
        yield f"no bundle for the open violation {missing}"
    if not subjects - {violation["id"] for violation in story["violations"]}:
        yield "no bundle for the change that was approved"


def main():
    if len(sys.argv) != 2:
        print("usage: check_story.py FILE", file=sys.stderr)
        return 2
    try:
        # One object and nothing else: anything before or after it is an error of the parser's.
        story = json.loads(pathlib.Path(sys.argv[1]).read_bytes())
        found = list(faults(story))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"not the summary of a demo: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    for fault in found:
        print(f"not as told: {fault}", file=sys.stderr)
    if not found:
        states = [violation["state"] for violation in story["violations"]]
        print(
            f"as told: {story['stations']} stations, {story['rounds']} rounds, {len(states)} violations "
            f"({states.count('resolved')} resolved), {len(story['bundles'])} bundles, height {story['height']}"
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
