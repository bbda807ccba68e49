#!/usr/bin/env python3
"""Check the C2SP tlog-proof of a ranproof bundle, without any code of ranproof.

    verify_tlog_proof.py BUNDLE --trust TRUST    one bundle
    verify_tlog_proof.py --story STORY           every bundle that the demo's summary names
    verify_tlog_proof.py --self-test             the bundles among the test vectors, whole and damaged

Written from the texts of C2SP (tlog-proof, tlog-checkpoint, signed-note, tlog-cosignature) and RFC 6962, with
hashlib and cryptography only; PyYAML reads the trust file. Checked are: that leaf and attestations stand in the
tree of the checkpoint, that the log signed it under the key the trust file has for its origin, and every
cosignature of a cosigner the trust file knows. Exit codes: 0 all hold, 1 one does not, 2 unreadable.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys

import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# Signature types of C2SP signed-note.
ED25519 = b"\x01"
COSIGNATURE = b"\x04"


class Refuted(Exception):
    """Something does not hold; the message says which step."""


def sha256(data):
    return hashlib.sha256(data).digest()


def require(condition, step, what):
    if not condition:
        raise Refuted(f"{step}: {what}")


def decode(text, step):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refuted(f"{step}: not base64: {text!r}") from error


def canonical(value):
    """RFC 8785 for what a bundle holds: texts, integers, lists, objects with ASCII names."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def root_of(leaf, index, size, path):
    """The root that an audit path leads to (RFC 6962 §2.1.1), built from the top down.

    The tree over `size` leaves splits at the largest power of two below `size`; the sibling of each split
    stands in the path, the outermost one last.
    """
    if size == 1:
        require(not path, "inclusion", "the path is too long")
        return sha256(b"\x00" + leaf)
    require(path, "inclusion", "the path is too short")
    split = 1
    while split * 2 < size:
        split *= 2
    if index < split:
        return sha256(b"\x01" + root_of(leaf, index, split, path[:-1]) + path[-1])
    return sha256(b"\x01" + path[-1] + root_of(leaf, index - split, size - split, path[:-1]))


class Proof:
    """The parts of a tlog-proof's text."""

    def __init__(self, text):
        head, blank, note = text.partition("\n\n")
        require(blank, "inclusion", "no blank line between proof and checkpoint")
        lines = head.split("\n")
        require(lines.pop(0) == "c2sp.org/tlog-proof@v1", "inclusion", "not a tlog-proof of version 1")
        if lines and lines[0].startswith("extra "):
            lines.pop(0)
        word, _, number = lines.pop(0).partition(" ") if lines else ("", "", "")
        require(word == "index" and number.isdecimal() and str(int(number)) == number, "inclusion", "no index")
        self.index = int(number)
        self.path = [decode(line, "inclusion") for line in lines]
        require(all(len(node) == 32 for node in self.path), "inclusion", "a node is not 32 bytes")
        self.checkpoint = Checkpoint(note)


class Checkpoint:
    """A signed note whose text is a tree head."""

    def __init__(self, note):
        body, blank, signatures = note.rpartition("\n\n")
        require(blank and signatures.endswith("\n"), "checkpoint", "no signatures")
        self.text = (body + "\n").encode()
        lines = body.split("\n")
        require(len(lines) >= 3 and all(lines), "checkpoint", "fewer than three lines, or an empty one")
        self.origin, size, root = lines[:3]
        require(size.isdecimal() and str(int(size)) == size, "checkpoint", "no size")
        self.size = int(size)
        self.root = decode(root, "checkpoint")
        require(len(self.root) == 32, "checkpoint", "the root is not 32 bytes")
        self.signatures = []
        for line in signatures[:-1].split("\n"):
            dash, name, encoded = (line.split(" ") + ["", ""])[:3]
            require(dash == "\u2014" and name and line.count(" ") == 2, "checkpoint", "a bad signature line")
            data = decode(encoded, "checkpoint")
            require(len(data) > 4, "checkpoint", "a short signature")
            self.signatures.append((name, data[:4], data[4:]))

    def signature_of(self, name, kind, key):
        """What the key of this name signed, if it did."""
        wanted = sha256(name.encode() + b"\n" + kind + key)[:4]
        found = [data for signer, key_id, data in self.signatures if (signer, key_id) == (name, wanted)]
        require(len(found) <= 1, "checkpoint", f"two signatures of {name}")
        return found[0] if found else None

    def verify_log(self, key):
        signature = self.signature_of(self.origin, ED25519, key)
        require(signature is not None, "checkpoint", f"not signed by the log key of {self.origin}")
        verify_signature(key, signature, self.text, "checkpoint")

    def verify_cosigners(self, cosigners):
        """Names of the known cosigners who signed; each signature of theirs must hold."""
        names = []
        for name, key in cosigners:
            data = self.signature_of(name, COSIGNATURE, key)
            if data is None:
                continue
            require(len(data) == 72, "cosignatures", f"the one of {name} is not 72 bytes")
            time = int.from_bytes(data[:8], "big")
            message = f"cosignature/v1\ntime {time}\n".encode() + self.text
            verify_signature(key, data[8:], message, "cosignatures")
            names.append(name)
        return names


def verify_signature(key, signature, message, step):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Refuted(f"{step}: a signature does not hold") from error


def verify_inclusion(leaf, index, checkpoint, path, what):
    require(index < checkpoint.size, "inclusion", f"{what}: index {index} in a tree of {checkpoint.size}")
    # A path is never longer than the number of bits in the size; this also bounds the recursion.
    require(len(path) <= checkpoint.size.bit_length(), "inclusion", f"{what}: the path is too long")
    root = root_of(leaf, index, checkpoint.size, path)
    require(root == checkpoint.root, "inclusion", f"{what}: the path leads to another root")


def verify(bundle, trust):
    """One line about what holds."""
    proof = Proof(bundle["proof"])
    checkpoint = proof.checkpoint
    verify_inclusion(canonical(bundle["leaf"]), proof.index, checkpoint, proof.path, "leaf")
    attestations = 0
    for name in ("before", "after"):
        observation = bundle.get(name)
        if observation is None:
            continue
        path = [bytes.fromhex(node) for node in observation["path"]]
        leaf = canonical(observation["attestation"])
        verify_inclusion(leaf, observation["index"], checkpoint, path, f"attestation `{name}`")
        attestations += 1
    origins = {entry["origin"]: entry for entry in trust["origins"]}
    origin = origins.get(checkpoint.origin)
    require(origin is not None, "origin", f"the trust file has no log {checkpoint.origin}")
    checkpoint.verify_log(bytes.fromhex(origin["log_key"]))
    require(bundle["leaf"]["origin"] == origin["member"], "origin", "the leaf names another member")
    cosigners = [(entry["name"], bytes.fromhex(entry["key"])) for entry in trust.get("cosigners", [])]
    signed = checkpoint.verify_cosigners(cosigners)
    return (
        f"leaf {proof.index} and {attestations} attestations under {checkpoint.origin} size {checkpoint.size}, "
        f"log signature holds, {len(signed)} cosignatures"
    )


def load(bundle, trust):
    # Every scalar of the trust file stays text: a key of decimal digits is no number.
    with open(trust, encoding="utf-8") as file:
        trusted = yaml.load(file, Loader=yaml.BaseLoader)
    return json.loads(pathlib.Path(bundle).read_bytes()), trusted


def flip(text, position):
    """The base64 text with one bit of its decoded bytes changed."""
    data = bytearray(base64.b64decode(text))
    data[position % len(data)] ^= 1
    return base64.b64encode(bytes(data)).decode()


def damages(bundle):
    """Copies of a bundle, each with one thing wrong."""
    lines = bundle["proof"].split("\n")
    for number, line in enumerate(lines):
        # A line of the path, the root, or a signature.
        word = line.rsplit(" ", 1)[-1]
        if len(word) < 44 or not word.endswith("="):
            continue
        for position in (4, 20, 31):
            changed = line[: len(line) - len(word)] + flip(word, position)
            yield f"line {number + 1} byte {position}", "\n".join(lines[:number] + [changed] + lines[number + 1 :])
    for number, line in enumerate(lines):
        if line.startswith("index ") or line.isdecimal():
            word, _, figure = line.rpartition(" ")
            changed = f"{word} {int(figure) + 1}".strip()
            yield f"line {number + 1} plus one", "\n".join(lines[:number] + [changed] + lines[number + 1 :])


def self_test():
    vectors = pathlib.Path(__file__).resolve().parents[2] / "anchor/tests/vectors"
    bundles = sorted(vectors.glob("*.bundle.json"))
    require(bundles, "self-test", f"no bundles in {vectors}")
    refused = 0
    for path in bundles:
        bundle, trust = load(path, vectors / "trust.yaml")
        print(f"{path.name}: {verify(bundle, trust)}")
        broken = [(what, {**bundle, "proof": proof}) for what, proof in damages(bundle)]
        leaf = {**bundle["leaf"], "round": bundle["leaf"]["round"] + 1}
        broken.append(("another leaf", {**bundle, "leaf": leaf}))
        for what, damaged in broken:
            try:
                verify(damaged, trust)
            except Refuted:
                refused += 1
            else:
                raise Refuted(f"self-test: {path.name} was accepted with {what}")
    print(f"{len(bundles)} bundles accepted, {refused} damaged ones refuted")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--trust")
    parser.add_argument("--story", help="the JSON of `./demo --once --json`")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if not (options.self_test or options.story or (options.bundle and options.trust)):
        parser.error("name a bundle and a trust file, or --story, or --self-test")
    try:
        if options.self_test:
            self_test()
        pairs = [(options.bundle, options.trust)] if options.bundle else []
        if options.story:
            story = json.loads(pathlib.Path(options.story).read_bytes())
            pairs += [(entry["file"], entry["trust"]) for entry in story["bundles"]]
            require(pairs, "story", "it names no bundle")
        for bundle, trust in pairs:
            print(f"{pathlib.Path(bundle).name}: {verify(*load(bundle, trust))}")
    except Refuted as error:
        print(f"REFUTED: {error}", file=sys.stderr)
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"unreadable: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
