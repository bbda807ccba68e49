"""What an engineer does after the story: a change that nobody approved, and a round that finds it."""

import json
import pathlib
import subprocess
import sys
import tempfile

EDIT = pathlib.Path(__file__).resolve().parent.parent / "netconfd/edit.py"
CHANGE = """<ManagedElement xmlns="urn:ranproof:nrm:managed-element">
  <id>{station}</id>
  <GNBDUFunction xmlns="urn:ranproof:nrm:nr">
    <id>1</id>
    <NRSectorCarrier><id>1</id><attributes><configuredMaxTxPower>{power}</configuredMaxTxPower></attributes></NRSectorCarrier>
  </GNBDUFunction>
</ManagedElement>
"""


def run(command, expected=(0,)):
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if result.returncode not in expected:
        raise RuntimeError(f"{' '.join(map(str, command))}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def raise_power(world, power):
    """Sets the power of the first station's first carrier, in a session that is not ours."""
    stations = world / "stations"
    known = json.loads((stations / "stations.json").read_text())
    first = known["stations"][0]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        edit, host_key = folder / "edit.xml", folder / "host-key.pub"
        edit.write_text(CHANGE.format(station=first["element"].rsplit("=", 1)[1], power=power))
        host_key.write_text(first["host_key"])
        port = first["address"].rsplit(":", 1)[1]
        manager = known["manager"]
        access = ["--port", port, "--user", manager["user"], "--key", stations / manager["key_file"]]
        run([sys.executable, EDIT, *access, "--host-key", host_key, "--datastore", "running", edit])


def round_that_finds_it(program, world, operator="telecom"):
    """Runs a round now; gives how many violations it opened."""
    place = world / operator
    listen = json.loads((place / "agent.yaml").read_text())["listen"]
    agent = ["--agent", f"http://{listen}", "--token-file", place / "data/api.token"]
    return json.loads(run([program, "collect", "--json", *agent], (0, 1)))["violations_opened"]
