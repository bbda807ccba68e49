#!/usr/bin/env python3
"""Change the configuration of a NETCONF server, as a manager that is not ranproof would.

Edits the candidate datastore and commits, or the running one where there is no other, and reads the running one back
in a new session: some servers answer `ok` to a commit that changes nothing, so an answer is not believed. Exit codes:
0 the change is there, 1 the server accepted it and it is not there, 2 it could not be done.
"""

import argparse
import sys

from lxml import etree
from ncclient import manager
from ncclient.operations import RPCError
from ncclient.transport.errors import TransportError

NETCONF = "urn:ietf:params:xml:ns:netconf:base:1.0"
OPERATION = f"{{{NETCONF}}}operation"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--key", required=True, help="private key file")
    parser.add_argument("--host-key", required=True, help="public key file of the server, which must match")
    parser.add_argument("--validate", action="store_true", help="send <validate> before <commit>")
    parser.add_argument("--datastore", choices=["candidate", "running"], default="candidate")
    parser.add_argument("edit", help="XML file with the content of <config>")
    return parser.parse_args()


def connect(options):
    with open(options.host_key, encoding="ascii") as file:
        host_key = file.read().split()[1]
    return manager.connect(
        host="127.0.0.1",
        port=options.port,
        username=options.user,
        key_filename=options.key,
        hostkey_b64=host_key,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    )


def apply(session, edit, datastore, validate):
    config = etree.Element(f"{{{NETCONF}}}config", nsmap={None: NETCONF})
    config.append(edit)
    session.edit_config(target=datastore, config=config)
    if validate:
        session.validate(datastore)
    if datastore == "candidate":
        session.commit()


def keys(element):
    """Leaves that tell an element of a list from its siblings: `id`, or the PLMN."""
    names = ("id", "mcc", "mnc")
    return {c.tag: c.text for c in element if etree.QName(c).localname in names}


def find(parent, wanted):
    """The child of `parent` that `wanted` is about."""
    for child in parent.findall(wanted.tag):
        if all(child.findtext(tag) == text for tag, text in keys(wanted).items()):
            return child
    return None


def missing(running, wanted, place=""):
    """What `wanted` asks for and `running` does not have, as lines."""
    place = f"{place}/{etree.QName(wanted).localname}"
    found = find(running, wanted)
    if wanted.get(OPERATION) in ("delete", "remove"):
        return [] if found is None else [f"{place}: still there"]
    if found is None:
        return [f"{place}: not there"]
    children = [c for c in wanted if isinstance(c.tag, str)]
    if not children:
        same = (found.text or "").strip() == (wanted.text or "").strip()
        return [] if same else [f"{place}: is {found.text!r}, not {wanted.text!r}"]
    faults = [fault for child in children for fault in missing(found, child, place)]
    return faults or order(found, children, place)


def order(running, children, place):
    """Entries of a list that stand in another order than they were given in."""
    faults = []
    for tag in dict.fromkeys(child.tag for child in children):
        # The order of an entry that is deleted, or that was not mentioned, is not ours to ask for.
        given = [find(running, child) for child in children if child.tag == tag]
        given = [running.index(entry) for entry in given if entry is not None]
        if given != sorted(given):
            faults.append(f"{place}/{etree.QName(tag).localname}: in another order")
    return faults


def main():
    options = arguments()
    parser = etree.XMLParser(remove_blank_text=True, resolve_entities=False)
    edit = etree.parse(options.edit, parser).getroot()
    try:
        with connect(options) as session:
            apply(session, edit, options.datastore, options.validate)
        with connect(options) as session:
            running = session.get_config("running").data_ele
    except (RPCError, TransportError, OSError) as error:
        print(f"edit.py: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    faults = missing(running, edit)
    for fault in faults:
        print(f"edit.py: the server said ok, but {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
