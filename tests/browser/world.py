"""The demo as a child process whose pages stay open; it ends as by Ctrl-C."""

import contextlib
import json
import signal
import subprocess
import time

PATIENCE = 600


class Demo:
    """A demo that plays while the block lasts."""

    def __init__(self, program, folder):
        self.command = [program, "demo", "--json", "--yes", "--dir", folder]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        return self

    def summary(self):
        """The one JSON value that it prints at the end of its story, while it goes on."""
        text = ""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"the demo ended early with {self.process.wait()}")
            text += line
            with contextlib.suppress(ValueError):
                return json.loads(text)
        raise RuntimeError("the demo printed no summary within ten minutes")

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        self.process.stdout.close()
        print(f"the demo ended with {code}", flush=True)
        if code is None and kind is None:
            raise RuntimeError("the demo did not end on Ctrl-C")
