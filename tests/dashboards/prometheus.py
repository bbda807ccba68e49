"""A Prometheus of our own on a free port, and the questions that these tests ask it."""

import json
import pathlib
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE = 120
STEP = 5


def api(base, path, **query):
    """What Prometheus answers; a refusal is an error with its own words."""
    url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(query, doseq=True)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        with error:
            body = error.read().decode(errors="replace")
        try:
            raise Refused(json.loads(body)["error"]) from error
        except ValueError:
            raise Refused(body[:200]) from error
    except OSError as error:
        raise RuntimeError(f"Prometheus at {base} does not answer: {error}; hint: is it running?") from error


class Refused(Exception):
    """A query that Prometheus does not take."""


class Prometheus:
    """Scrapes the targets that `folder`/targets.json names, every second, with our rules; ends with the block."""

    def __init__(self, example, folder):
        self.folder = pathlib.Path(folder)
        self.example = pathlib.Path(example)

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "data").mkdir(parents=True)
        self.targets = self.folder / "targets.json"
        self.targets.write_text("[]")
        config = self.folder / "prometheus.yml"
        config.write_text(self.configuration())
        log = self.folder / "prometheus.log"
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'data'}"]
        with open(log, "wb") as words:
            self.process = subprocess.Popen(
                [*command, "--web.listen-address=127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=words, stderr=words
            )
        try:
            self.base = f"http://{self.address(log)}"
            wait_until("Prometheus is ready", self.is_ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def configuration(self):
        """Our example with its targets taken from a file and a shorter interval, rules and all."""
        text = self.example.read_text()
        rules = self.example.parent / "rules"
        text = text.replace("- rules/*.yml", f"- {rules.resolve()}/*.yml")
        text = re.sub(r"(scrape|evaluation)_interval: \S+", r"\1_interval: 1s", text)
        discovered = f"file_sd_configs:\n      - files: [{self.targets.resolve()}]\n        refresh_interval: 1s\n"
        text, changed = re.subn(r"static_configs:\n(?: {6,}.*\n?)+", discovered, text)
        if changed != 1:
            raise RuntimeError(f"{self.example}: no static_configs; hint: the example names its targets there")
        return text

    def address(self, log):
        def found():
            if self.process.poll() is not None:
                raise RuntimeError(f"Prometheus does not start: {log.read_text(errors='replace')[-1000:]}")
            return re.search(r'msg="?Listening on"? address=(\S+)', log.read_text(errors="replace"))

        return wait_until("Prometheus listens", found)[1]

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.base}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def scrape(self, addresses):
        new = self.targets.with_suffix(".new")
        new.write_text(json.dumps([{"targets": sorted(addresses)}]))
        new.replace(self.targets)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def wait_until(what, holds):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = holds()
        if result:
            return result
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {PATIENCE} s")


# What Grafana puts in, for a data source that is scraped every 15 s: everything is chosen in the variables.
VARIABLES = {"__rate_interval": "1m", "__interval": "15s", "operator": ".+", "instance": ".+"}


def expand(query):
    def value(match):
        try:
            return VARIABLES[match[1]]
        except KeyError:
            raise Refused(f"Grafana's variable ${match[1]} is unknown here") from None

    return re.sub(r"\$\{?(\w+)\}?", value, query)


def figures(base, query, begin, end):
    """How many series of a query have at least one number between these times; `NaN` is none."""
    series = api(base, "query_range", query=expand(query), start=begin, end=end, step=STEP)["result"]
    return sum(any(value != "NaN" for _, value in one["values"]) for one in series)


# An alert's query is mostly empty when all is well, but what it looks at must be there.
SELECTOR = re.compile(r"(?:\w+:)?\b(?:up|ranproof_\w+)(?::\w+)?\s*(?:\{[^}]*\})?")
WORDS = re.compile(r"\b(time|abs|changes|delta|increase|max|max_over_time|min|min_over_time|sum|by|and|job|instance|operator|member|h|m)\b")


def selectors(query):
    """The vector selectors of an alert; an alert with a part that is not understood is an error."""
    found = [match.strip() for match in SELECTOR.findall(query)]
    rest = re.findall(r"[A-Za-z_]\w*", WORDS.sub(" ", re.sub(r"\[\d+[smhd]\]", " ", SELECTOR.sub(" ", query))))
    if rest or not found:
        raise Refused(f"this test does not understand {rest or 'a query without a metric'}")
    return found
