"""Holds dashboards to Grafana's published types: wrong types and unknown keys, by file and place."""

import json
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).parent

OPTIONS = """--noEmit --strict --skipLibCheck --pretty false --target es2022 --module esnext
--moduleResolution bundler""".split()


def faults(files, modules, folder):
    """What the compiler says of each file, one line each; `modules` has node_modules."""
    prepare(modules, folder)
    sources = [source_of(file, folder) for file in files]
    return compile_all(modules, folder, sources)


def prepare(modules, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(HERE / "kinds.ts", folder)
    (folder / "node_modules").symlink_to((modules / "node_modules").resolve())


def source_of(file, folder, change=lambda dashboard: dashboard, name=None):
    text = pathlib.Path(file).read_text()
    try:
        dashboard = json.loads(text)
    except ValueError as error:
        raise RuntimeError(f"{file}: no JSON: {error}") from error
    source = folder / f"{name or pathlib.Path(file).stem}.ts"
    changed = json.dumps(change(dashboard), indent=1, ensure_ascii=False)
    source.write_text(f'import type {{ Checked }} from "./kinds";\nexport const dashboard: Checked = {changed};\n')
    return source


def compile_all(modules, folder, sources):
    program = (modules / "node_modules/typescript/bin/tsc").resolve()
    command = ["node", program, *OPTIONS, *[source.name for source in sources]]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = result.stdout.splitlines()
    if result.returncode != 0 and not lines:
        raise RuntimeError(f"the TypeScript compiler failed: {result.stderr.strip()[:500]}")
    return lines


def planted(file, modules, folder):
    """Defects that must be found, each by what is done to a sound dashboard; gives those that were not."""
    prepare(modules, folder)
    defects = {
        "wrong-type": lambda d: {**d, "schemaVersion": str(d["schemaVersion"])},
        "unknown-key": lambda d: {**d, "editabel": False},
        "unknown-unit-key": lambda d: in_panel(d, lambda p: p["fieldConfig"]["defaults"].update(unitt="s")),
        "unknown-option": lambda d: in_panel(d, lambda p: p["options"].update(colourMode="value")),
        "wrong-option": lambda d: in_panel(d, lambda p: p["options"].update(colorMode="red")),
        "misspelt-query": lambda d: in_panel(d, lambda p: p["targets"][0].update(expresion="up")),
    }
    sources = [source_of(file, folder, change, name) for name, change in defects.items()]
    said = compile_all(modules, folder, [*sources, source_of(file, folder)])
    missed = [name for name in defects if not any(line.startswith(f"{name}.ts(") for line in said)]
    sound = pathlib.Path(file).stem
    return missed + [line for line in said if line.startswith(f"{sound}.ts(")]


def in_panel(dashboard, change):
    change(next(panel for panel in dashboard["panels"] if panel["type"] == "stat"))
    return dashboard
