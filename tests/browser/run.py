#!/usr/bin/env python3
"""Open every kind of page of a running agent in Chromium, in light and dark, with and without script.

    run.py --axe FILE --program PROGRAM --output FOLDER    plays the demo and looks at its pages
    run.py --axe FILE --base URL --output FOLDER           looks at the pages of an agent that runs already

A page fails on an error in the console, a violation of its content security policy, a request that leaves the
agent, an answer of 400 or more, a missing title or headline, content wider than the window, or anything that axe calls
serious or critical, in either language. Without script the
way from the list of violations to a downloaded, verified bundle must work, and so must signing in and acknowledging
a violation. Screenshots go to FOLDER. Exit codes: 0 nothing was found, 1 something was, 2 it could not be done.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from axe import Axe
from devtools import Browser
from world import Demo

# Kinds of pages that must be reachable by links from the first one.
KINDS = {
    "violations": r"/violations",
    "violation": r"/violations/[^/]+",
    "changes": r"/changes",
    "change": r"/changes/[^/]+",
    "rounds": r"/rounds",
    "round": r"/rounds/[^/]+",
    "chain": r"/chain",
    "rule": r"/rules/[^/]+",
    "login": r"/login",
    # Stations of another operator, as it disclosed them and this one judged them.
    "foreign": r"/(violations|rounds)(/[^/?]+)?\?(.*&)?origin=.*",
}
EACH_KIND = 2


def kind_of(path):
    for kind, pattern in KINDS.items():
        if re.fullmatch(pattern, path):
            return kind
    return None


class Faults:
    def __init__(self):
        self.lines = []

    def add(self, where, what):
        line = f"{where}: {what}"
        if line not in self.lines:
            self.lines.append(line)
            print(f"FAULT {line}", flush=True)


def faults_of(events, origin):
    """What went wrong while a page was loaded."""
    for event in events:
        method, parameters = event["method"], event["params"]
        if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            words = " ".join(str(a.get("value", a.get("description"))) for a in parameters["args"])
            yield f"console: {words}"
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            yield f"script: {details.get('exception', {}).get('description') or details['text']}"
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            yield f"browser: {parameters['entry']['text']} {parameters['entry'].get('url', '')}"
        elif method == "Audits.issueAdded":
            issue = parameters["issue"]
            if issue["code"] in ("ContentSecurityPolicyIssue", "MixedContentIssue", "QuirksModeIssue"):
                yield f"{issue['code']}: {json.dumps(issue['details'])[:300]}"
        elif method == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith((origin + "/", "data:", "about:", "blob:")):
                yield f"request to {url}"
        elif method == "Network.responseReceived" and parameters["response"]["status"] >= 400:
            yield f"{parameters['response']['status']} for {parameters['response']['url']}"
        elif method == "Network.loadingFailed" and not parameters.get("canceled"):
            yield f"not loaded: {parameters['errorText']} {parameters.get('blockedReason', '')}"


def policy_faults(events, url):
    for event in events:
        if event["method"] != "Network.responseReceived" or event["params"]["type"] != "Document":
            continue
        headers = {name.lower(): value for name, value in event["params"]["response"]["headers"].items()}
        policy = headers.get("content-security-policy", "")
        if "default-src" not in policy:
            yield "no content security policy with default-src"
        for word in ("unsafe-inline", "unsafe-eval", "*", "http:", "https:"):
            if word in re.split(r"[\s;']+", policy):
                yield f"the content security policy allows {word}"
        return
    yield f"no document came for {url}"


def structure_faults(page):
    seen = page.evaluate(
        "({title: document.title, headlines: [...document.querySelectorAll('h1')].map(h => h.innerText.trim()),"
        " language: document.documentElement.lang, main: document.querySelectorAll('main').length,"
        " width: document.documentElement.scrollWidth, window: window.innerWidth,"
        " unlabelled: [...document.querySelectorAll('input:not([type=hidden]),select,textarea')]"
        "   .filter(c => !c.labels.length && !c.ariaLabel && !c.title).map(c => c.name)})"
    )
    if not seen["title"].strip():
        yield "no title"
    if len(seen["headlines"]) != 1 or not seen["headlines"][0]:
        yield f"headlines: {seen['headlines']}"
    if not seen["language"]:
        yield "no language"
    if seen["main"] != 1:
        yield f"{seen['main']} main elements"
    if seen["width"] > seen["window"]:
        yield f"content of {seen['width']} px in a window of {seen['window']} px"
    if seen["unlabelled"]:
        yield f"controls without a label: {seen['unlabelled']}"


def links_of(page, base):
    """Paths with query of every link that stays on the agent, in order."""
    found = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)")
    paths = []
    for url in found:
        parts = urllib.parse.urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" == base:
            paths.append(parts.path + (f"?{parts.query}" if parts.query else ""))
    return list(dict.fromkeys(paths))


class Tour:
    """A walk over the pages of one agent."""

    def __init__(self, browser, base, output, faults, axe):
        self.browser, self.base, self.output, self.faults, self.axe = browser, base, output, faults, axe
        self.links = set()

    def look(self, page, path, name, judge=False):
        events = page.open(self.base + path)
        found = [*faults_of(events, self.base), *policy_faults(events, path), *structure_faults(page)]
        if judge:
            found += self.axe.faults(page)
        for fault in found:
            self.faults.add(f"{path} ({name})", fault)
        page.screenshot(self.output / f"{name}.png")

    def discover(self):
        """Up to two pages of each kind, found by following links; kind and number name them."""
        found = {kind: [] for kind in KINDS}
        queue, seen = ["/"], {"/"}
        with self.browser.page() as page:
            while queue:
                path = queue.pop(0)
                page.open(self.base + path)
                for link in links_of(page, self.base):
                    self.links.add(link)
                    plain = link if "origin=" in link else link.split("?")[0]
                    kind = kind_of(plain)
                    if plain in seen or kind is None or len(found[kind]) >= EACH_KIND:
                        continue
                    seen.add(plain)
                    found[kind].append(plain)
                    queue.append(plain)
        for kind, paths in found.items():
            if not paths:
                self.faults.add(kind, "no link leads to such a page")
        return [(f"{kind}-{n}", path) for kind, paths in found.items() for n, path in enumerate(paths, 1)]

    def look_at_all(self, pages):
        """Every page light and dark: wide in both languages, where axe judges it, and narrow."""
        for scheme in ("light", "dark"):
            for language, width, more in (("en", 1280, ""), ("zh", 1280, "-zh"), ("en", 420, "-narrow")):
                with self.browser.page(scheme=scheme, width=width, language=language) as page:
                    for name, path in pages:
                        self.look(page, path, f"{name}-{scheme}{more}", judge=width == 1280)
        print(f"{len(pages)} pages looked at in light and dark, in both languages, and narrow", flush=True)

    def look_signed_in(self, path):
        """The page with its forms, as somebody who may act sees it."""
        for scheme in ("light", "dark"):
            for language in ("en", "zh"):
                with self.browser.page(scheme=scheme, language=language) as page:
                    self.look(page, path, f"violation-signed-in-{scheme}-{language}", judge=True)

    def try_axe(self):
        """axe finds what is planted: its silence elsewhere says something."""
        with self.browser.page() as page:
            page.open(f"{self.base}/violations")
            for rule in sorted(self.axe.planted(page)):
                self.faults.add("axe", f"a planted defect was not found: {rule}")

    def try_links(self):
        """Every link seen on the way, pages and files, leads somewhere."""
        for link in sorted(self.links):
            try:
                with urllib.request.urlopen(self.base + link, timeout=30) as answer:
                    answer.read()
            except (urllib.error.URLError, OSError) as error:
                self.faults.add(link, f"dead link: {error}")
        print(f"{len(self.links)} links tried", flush=True)

    def without_script(self):
        """List → detail → bundle by mouse alone; gives the downloaded file's path, `None` if there is none."""
        self.browser.allow_downloads()
        with self.browser.page(script=False) as page:
            self.look(page, "/violations", "violations-without-script")
            events = page.click_through("main a[href^='/violations/']")
            for fault in faults_of(events, self.base):
                self.faults.add("a violation without script", fault)
            if kind_of(urllib.parse.urlsplit(page.evaluate("location.href")).path) != "violation":
                self.faults.add("without script", f"the first link led to {page.evaluate('location.href')}")
            page.screenshot(self.output / "violation-without-script.png")
            page.click("a[href*='/bundles/']")
            begun = self.browser.connection.wait("Browser.downloadWillBegin")
            done = self.browser.connection.wait(
                "Browser.downloadProgress", lambda p: p["guid"] == begun["guid"] and p["state"] != "inProgress"
            )
        if done["state"] != "completed":
            self.faults.add("without script", f"the download of {begun['url']} was {done['state']}")
            return None
        file = self.browser.downloads / begun["suggestedFilename"]
        kept = self.output / "downloaded.json"
        shutil.copyfile(file, kept)
        print(f"downloaded {begun['suggestedFilename']} without script", flush=True)
        return kept

    def act_without_script(self, token):
        """Signs in with the agent's token and acknowledges an open violation, by forms alone."""
        with self.browser.page(script=False) as page:
            page.open(f"{self.base}/violations?state=open")
            page.click_through("main a[href^='/violations/']")
            subject = urllib.parse.urlsplit(page.evaluate("location.href")).path
            page.click_through("a[href^='/login']")
            fill(page, {"#person": "browser test", "#token": "not the token"})
            page.click_through("form.fields button")
            if "/login" not in page.evaluate("location.href") or not page.evaluate("!!document.querySelector('[role=alert]')"):
                self.faults.add("login", "a wrong token was not refused with a sentence")
            fill(page, {"#person": "browser test", "#token": token})
            page.click_through("form.fields button")
            landed = urllib.parse.urlsplit(page.evaluate("location.href")).path
            if landed != subject:
                self.faults.add("login", f"signing in at {subject} led to {landed}")
            fill(page, {"#comment": "seen by the browser test"})
            events = page.click_through("form.act button[value=ack]")
            for fault in faults_of(events, self.base):
                self.faults.add("acknowledging without script", fault)
            page.screenshot(self.output / "violation-acknowledged.png")
        with urllib.request.urlopen(f"{self.base}/api/v1{subject}", timeout=30) as answer:
            state = json.load(answer)["state"]
        if state != "acknowledged":
            self.faults.add("acknowledging without script", f"the violation is {state}")
        print("signed in and acknowledged a violation without script", flush=True)
        return subject


def fill(page, texts):
    for selector, text in texts.items():
        page.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")


def check_download(file, story, program, faults):
    """What the page gave is a bundle that the small verifier accepts."""
    if file is None:
        return
    if json.loads(file.read_bytes()).get("format") != "ranproof/bundle/2":
        faults.add("download", "not a bundle")
    if story is None:
        return
    # The page is the first operator's; its claims are for the other one to check.
    trust = next(b["trust"] for b in story["bundles"] if pathlib.Path(b["file"]).name.startswith("telecom-"))
    verifier = pathlib.Path(program).resolve().with_name("ranproof-verify")
    result = subprocess.run([verifier, file, "--trust", trust], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        faults.add("download", f"not verified:\n{result.stdout}{result.stderr}")


def look_at(base, output, story, program, axe, token=None):
    faults = Faults()
    with Browser() as browser:
        tour = Tour(browser, base, output, faults, axe)
        tour.try_axe()
        tour.look_at_all(tour.discover())
        tour.try_links()
        check_download(tour.without_script(), story, program, faults)
        if token is not None:
            tour.look_signed_in(tour.act_without_script(token))
    print(f"axe judged {axe.runs} pages; less than serious: {', '.join(sorted(axe.lesser)) or 'nothing'}")
    print(f"{len(faults.lines)} faults; screenshots are in {output}")
    return 1 if faults.lines else 0


def origin(url):
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", help="the `ranproof` to play the demo with")
    parser.add_argument("--base", help="address of an agent that runs already")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for screenshots")
    parser.add_argument("--axe", type=pathlib.Path, required=True, help="axe.min.js, as npm brought it")
    parser.add_argument("--dir", default="target/check/pages", help="folder for the demo's world")
    options = parser.parse_args()
    if bool(options.program) == bool(options.base):
        parser.error("either --program or --base")
    options.output.mkdir(parents=True, exist_ok=True)
    for old in options.output.glob("*.png"):
        old.unlink()
    try:
        axe = Axe(options.axe)
        if options.base:
            return look_at(origin(options.base), options.output, None, None, axe)
        with Demo(options.program, options.dir) as world:
            story = world.summary()
            token = pathlib.Path(options.dir, "telecom/data/api.token").read_text().strip()
            return look_at(origin(story["pages"][0]), options.output, story, options.program, axe, token)
    except (OSError, RuntimeError, TimeoutError) as error:
        print(f"could not look at the pages: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
