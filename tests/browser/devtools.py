"""Chromium without a window, driven over the DevTools protocol: no more than these tests need."""

import base64
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

import websocket

PATIENCE = 30

# Nothing but the page under test may cause traffic: a request elsewhere is a fault of the page.
FLAGS = """
--headless --disable-gpu --disable-quic --no-first-run --no-default-browser-check --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --disable-extensions --disable-dev-shm-usage
--disable-domain-reliability --disable-client-side-phishing-detection --metrics-recording-only --mute-audio
--hide-scrollbars --force-color-profile=srgb --remote-debugging-port=0 --remote-allow-origins=*
--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider
""".split()


def program():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError("no Chromium; hint: ./check installs it")


def prefix():
    """As root the browser runs as an account that may do nothing."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]


class Browser:
    """A running browser with a profile of its own; it ends with the block."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ranproof-browser-"))
        self.downloads = self.folder / "downloads"
        self.downloads.mkdir()
        if os.geteuid() == 0:
            for path in (self.folder, self.downloads):
                os.chown(path, 65534, 65534)
        profile = self.folder / "profile"
        command = prefix() + [program(), *FLAGS, f"--user-data-dir={profile}"]
        # Its own sandbox needs rights that containers do not give; what is shown is ours alone.
        if os.geteuid() == 0:
            command.append("--no-sandbox")
        environment = {**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder)}
        self.words = open(self.folder / "browser.log", "wb")
        self.process = subprocess.Popen(
            command + ["about:blank"], env=environment, stdout=self.words, stderr=self.words, cwd=self.folder
        )
        try:
            self.port = self.wait_for_port(profile / "DevToolsActivePort")
            self.connection = Connection(self.http("/json/version")["webSocketDebuggerUrl"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_for_port(self, file):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            if file.exists() and file.read_text().count("\n"):
                return int(file.read_text().split("\n")[0])
            time.sleep(0.05)
        log = (self.folder / "browser.log").read_text(errors="replace")
        raise RuntimeError(f"the browser does not start:\n{log[-2000:]}")

    def http(self, path, method="GET"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def page(self, **options):
        return Page(self, **options)

    def allow_downloads(self):
        self.connection.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads), eventsEnabled=True
        )

    def __exit__(self, *_):
        if hasattr(self, "connection"):
            self.connection.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.words.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Connection:
    """Requests and events over one websocket."""

    def __init__(self, url):
        self.socket = websocket.create_connection(url, timeout=PATIENCE)
        self.numbers = itertools.count(1)
        self.events = []

    def call(self, method, **parameters):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def wait(self, method, matches=lambda parameters: True):
        """The first event of this kind since the events were last taken."""
        end = time.monotonic() + PATIENCE
        seen = 0
        while time.monotonic() < end:
            while seen < len(self.events):
                event = self.events[seen]
                seen += 1
                if event["method"] == method and matches(event["params"]):
                    return event["params"]
            message = json.loads(self.socket.recv())
            if "method" in message:
                self.events.append(message)
        raise TimeoutError(f"no {method} within {PATIENCE} s")

    def take(self):
        events, self.events = self.events, []
        return events

    def close(self):
        self.socket.close()


class Page:
    """One tab."""

    def __init__(self, browser, scheme="light", width=1280, script=True, language="en"):
        self.browser = browser
        target = browser.http("/json/new?about:blank", method="PUT")
        self.identity = target["id"]
        self.connection = Connection(target["webSocketDebuggerUrl"])
        for domain in ("Page", "Network", "Runtime", "Log", "Audits", "DOM"):
            self.connection.call(f"{domain}.enable")
        self.connection.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        self.connection.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self.connection.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
        if not script:
            self.connection.call("Emulation.setScriptExecutionDisabled", value=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.browser.connection.call("Target.closeTarget", targetId=self.identity)

    def open(self, url):
        """Goes there and waits until it is loaded; gives what happened meanwhile."""
        self.connection.take()
        result = self.connection.call("Page.navigate", url=url)
        if result.get("errorText"):
            raise RuntimeError(f"{url}: {result['errorText']}")
        self.connection.wait("Page.loadEventFired")
        return self.settle()

    def settle(self):
        # A round trip to the renderer: what the page's script said at once has then arrived.
        self.evaluate("document.readyState")
        return self.connection.take()

    def evaluate(self, expression, wait=False):
        """The value of an expression; with `wait` that of the promise it is."""
        result = self.connection.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=wait
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression[:200]}: {result['exceptionDetails'].get('text')}")
        return result["result"].get("value")

    def click(self, selector):
        """Presses the mouse on the first element that matches, as a person does."""
        where = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            "e.scrollIntoView({block: 'center', behavior: 'instant'}); const r = e.getClientRects()[0];"
            "return r ? [r.x + r.width / 2, r.y + r.height / 2] : null; })()"
        )
        if where is None:
            raise RuntimeError(f"nothing to click at `{selector}`")
        self.connection.take()
        for kind in ("mousePressed", "mouseReleased"):
            self.connection.call(
                "Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1
            )

    def click_through(self, selector):
        self.click(selector)
        self.connection.wait("Page.loadEventFired")
        return self.settle()

    def screenshot(self, path):
        size = self.connection.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        shot = self.connection.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))
