#!/usr/bin/env python3
"""The same stations read by ncclient, one after the other, for `ranproof bench poll`.

    poll.py < STATIONS

Standard input is one JSON object: `user`, `key_file` and `stations`, a list of {`host`, `port`, `host_key`}. Of each the
whole configuration is fetched in a session of its own, with the host key checked, and its text taken. Prints the CPU
time of this process for one station, and the mean size of a reply.
"""

import json
import resource
import sys

from ncclient import manager


def cpu_ms():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000


def poll(station, user, key_file):
    session = manager.connect(
        host=station["host"],
        port=station["port"],
        username=user,
        key_filename=key_file,
        hostkey_b64=station["host_key"],
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    )
    with session:
        return len(session.get_config("running").data_xml)


def main():
    plan = json.load(sys.stdin)
    stations = plan["stations"]
    # The first session also loads modules; it is not counted.
    poll(stations[0], plan["user"], plan["key_file"])
    begun = cpu_ms()
    sizes = [poll(station, plan["user"], plan["key_file"]) for station in stations]
    each = (cpu_ms() - begun) / len(stations)
    print(json.dumps({"cpu_ms_per_station": each, "bytes": sum(sizes) // len(sizes)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
