#!/usr/bin/env python3
"""Give `ranproof-verify` bundles with one byte changed, without a network: each must be turned down.

    flip_bytes.py --program PROGRAM --story STORY [--cases 1000] [--seed N]
    flip_bytes.py --program PROGRAM BUNDLE --trust TRUST

The whole bundle must be accepted (exit code 0); with any byte changed the program must exit with 1 or 2 and name
the step. The seed is printed, and gives the same changes again. Exit codes: 0 so it was, 1 it was not.
"""

import argparse
import json
import os
import pathlib
import random
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

STEPS = (
    "format record inclusion checkpoint origin cosignatures receipts headers certificates validators approvals "
    "agreement openings judgements order"
).split()


def without_network(command):
    """The command in a network namespace of its own, which holds nothing but a loopback that is down."""
    namespace = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    return namespace + ["--"] + command


def run(program, bundle, trust):
    command = without_network([program, bundle, "--trust", trust])
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout + result.stderr


def step_named(words):
    """The step at which the program says it stopped."""
    for line in words.splitlines():
        if line.startswith(("REFUTED at step ", "MALFORMED at step ")):
            step = line.split(" at step ", 1)[1].split(":", 1)[0]
            return step if step in STEPS else None
    return None


class Case:
    """One bundle and one changed byte of it."""

    def __init__(self, generator, bundles):
        self.file, self.trust, self.content = generator.choice(bundles)
        self.position = generator.randrange(len(self.content))
        self.byte = (self.content[self.position] + generator.randrange(1, 256)) % 256

    def __str__(self):
        old = self.content[self.position]
        return f"{self.file.name} byte {self.position}: {old:#04x} became {self.byte:#04x}"

    def play(self, program, folder, number):
        """The step that was named, or a complaint."""
        changed = bytearray(self.content)
        changed[self.position] = self.byte
        path = folder / f"{number}.json"
        path.write_bytes(changed)
        code, words = run(program, path, self.trust)
        path.unlink()
        step = step_named(words)
        if code not in (1, 2):
            return None, f"{self}: exit code {code}\n{words}"
        if step is None:
            return None, f"{self}: no step named\n{words}"
        return step, None


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--trust")
    parser.add_argument("--story", help="the JSON of `./demo --once --json`")
    parser.add_argument("--program", required=True)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if not (options.story or (options.bundle and options.trust)):
        parser.error("name a bundle and a trust file, or --story")
    return options


def main():
    options = arguments()
    pairs = [(options.bundle, options.trust)] if options.bundle else []
    if options.story:
        story = json.loads(pathlib.Path(options.story).read_bytes())
        pairs += [(entry["file"], entry["trust"]) for entry in story["bundles"]]
    bundles = [(pathlib.Path(file), trust, pathlib.Path(file).read_bytes()) for file, trust in pairs]
    for file, trust, _ in bundles:
        code, words = run(options.program, file, trust)
        if code != 0:
            print(f"{file} is not accepted: exit code {code}\n{words}", file=sys.stderr)
            return 1
    print(f"{len(bundles)} bundles accepted without a network")

    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"{options.cases} changes of one byte, seed {seed}", flush=True)
    generator = random.Random(seed)
    cases = [Case(generator, bundles) for _ in range(options.cases)]
    steps, complaints = Counter(), []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max_workers=2) as pool:
        folder = pathlib.Path(folder)
        for step, complaint in pool.map(lambda c: c[1].play(options.program, folder, c[0]), enumerate(cases)):
            if complaint:
                complaints.append(complaint)
            else:
                steps[step] += 1
    for complaint in complaints[:10]:
        print(complaint, file=sys.stderr)
    named = ", ".join(f"{step} {steps[step]}" for step in STEPS if steps[step])
    print(f"{options.cases - len(complaints)} turned down ({named}), {len(complaints)} not")
    return 1 if complaints or not bundles else 0


if __name__ == "__main__":
    sys.exit(main())
