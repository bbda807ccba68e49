"""axe-core on the page that is open: what stands in the way of people who see, hear or point otherwise.

Its source is given to the browser over the DevTools protocol, as a person does who types into the console: the page's
content security policy stays as it is.
"""

import json
import pathlib

# What these find moderate or minor is for people to weigh.
GRAVE = ("serious", "critical")

RUN = """
axe.run(document, {resultTypes: ["violations"]}).then(result => result.violations.map(found => ({
  rule: found.id, impact: found.impact, help: found.help,
  nodes: found.nodes.map(node => node.target.join(" ") + ": " + node.failureSummary.split("\\n").slice(1).join(" ").trim()),
})))
"""

PLANT = """
(() => {
  const main = document.querySelector("main");
  main.append(document.createElement("img"));
  const pale = document.createElement("p");
  pale.textContent = "hardly to be read";
  pale.style.color = "#999999";
  pale.style.background = "#aaaaaa";
  main.append(pale);
})()
"""


class Axe:
    def __init__(self, file):
        self.source = pathlib.Path(file).read_text()
        self.runs = 0
        self.lesser = set()

    def faults(self, page):
        """What axe finds grave; what it finds else is counted in `lesser`."""
        found = self.run(page)
        self.lesser |= {f"{one['rule']} ({one['impact']}): {one['help']}" for one in found if one["impact"] not in GRAVE}
        for one in found:
            if one["impact"] in GRAVE:
                more = f" and {len(one['nodes']) - 3} more" if len(one["nodes"]) > 3 else ""
                yield f"axe {one['rule']} ({one['impact']}): {one['help']}: {'; '.join(one['nodes'][:3])}{more}"

    def run(self, page):
        self.runs += 1
        if not page.evaluate("typeof axe === 'object'"):
            page.evaluate(self.source + "\n;void 0")
        return page.evaluate(RUN, wait=True)

    def planted(self, page):
        """Rules of planted defects that axe does not find on the page that is open."""
        page.evaluate(PLANT)
        found = {one["rule"] for one in self.run(page)}
        return {"image-alt", "color-contrast"} - found
