#!/usr/bin/env python3
"""What a script that people put together first would do with one station, for `ranproof bench station`.

    typical.py PREVIOUS CURRENT [--stations N]

The reply goes through ncclient (GetReply and its data_xml), xmltodict, DeepDiff as it comes, jsonschema and SQLite. It
differs from `station.py`, which is written to be fast: lists are compared by position, as DeepDiff does unless told
otherwise, and the reply passes through ncclient's own parser. The session itself is not in it.
"""

import sys

from ncclient.operations.retrieve import GetReply

import station


def read(reply):
    parsed = GetReply(reply.decode())
    parsed.parse()
    return station.xmltodict.parse(parsed.data_xml)["data"]


def main():
    station.read, station.keyed = read, lambda document: document
    return station.measure(__doc__, read, station.station)


if __name__ == "__main__":
    sys.exit(main())
