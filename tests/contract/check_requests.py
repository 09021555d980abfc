"""Checks every request that the engine can make against what is known of Firecracker's API (api.py).

usage: check_requests.py DUMP_REQUESTS

Where Firecracker's own description (firecracker.yaml) is at hand, api.py and the requests are held to that too: in the
folder that FIRECLAW_FACTS_DIR names, or in ../shared beside the source tree.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import api

DESCRIPTION = "firecracker.yaml"

# Fields that came after 1.0, by the structure that has them: the description is of the newest version only.
SINCE = {
    ("SnapshotLoadParams", "network_overrides"): (1, 12),
    ("SnapshotLoadParams", "vsock_override"): (1, 16),
    ("SnapshotLoadParams", "clock_realtime"): (1, 16),
    ("SnapshotLoadParams", "huge_pages"): (1, 17),
    ("NetworkInterface", "mtu"): (1, 17),
    ("Metrics", "emit_id"): (1, 17),
    ("Metrics", "properties"): (1, 17),
}

# Requests with something wrong in them: a check that lets one of them pass checks nothing.
WRONG = [
    ("1.17.0", "PUT", "/no-such-thing", "{}", "no such path"),
    ("1.17.0", "PATCH", "/vsock", "{}", "method"),
    ("1.17.0", "PUT", "/boot-source", "{not json", "JSON"),
    ("1.17.0", "PUT", "/boot-source", "", "JSON"),
    ("1.17.0", "PUT", "/boot-source", "{}", "kernel_image_path"),
    ("1.17.0", "PUT", "/boot-source", '{"kernel_image_path": 1}', "string"),
    ("1.17.0", "PUT", "/boot-source", '{"kernel_image_path": "k", "bogus": 1}', "bogus"),
    ("1.17.0", "PUT", "/machine-config", '{"vcpu_count": 33, "mem_size_mib": 1}', "33"),
    ("1.17.0", "PUT", "/machine-config", '{"vcpu_count": true, "mem_size_mib": 1}', "integer"),
    ("1.17.0", "PUT", "/actions", '{"action_type": "Nope"}', "Nope"),
    ("1.17.0", "PUT", "/vsock", '{"guest_cid": 2, "uds_path": "v"}', "2"),
    ("1.17.0", "PUT", "/drives/a", '{"drive_id": "b", "is_root_device": false}', "id"),
    ("1.17.0", "PATCH", "/drives/a", '{"drive_id": "a", "rate_limiter": {"bandwidth": {"size": 1}}}', "refill_time"),
    ("1.17.0", "PUT", "/drives/a.b", '{"drive_id": "a.b", "is_root_device": false}', "id"),
    ("1.17.0", "PUT", "/snapshot/load", '{"snapshot_path": "s", "mem_backend": {"backend_type": "File"}}',
     "backend_path"),
    ("1.17.0", "PUT", "/snapshot/load", '{"snapshot_path": "s"}', "mem_"),
    ("1.17.0", "PUT", "/snapshot/load", '{"snapshot_path": "s", "mem_file_path": "m", "network_overrides": [{}]}',
     "iface_id"),
    ("1.15.2", "PUT", "/snapshot/load",
     '{"snapshot_path": "s", "mem_file_path": "m", "vsock_override": {"uds_path": "v"}}', "vsock_override"),
    ("1.15.2", "PUT", "/snapshot/load", '{"snapshot_path": "s", "mem_file_path": "m", "clock_realtime": true}',
     "clock_realtime"),
    ("1.17.0", "GET", "/version", "{}", "body"),
]


class Checker:
    def __init__(self, description: dict[str, Any]) -> None:
        self._paths = description["paths"]
        self._definitions = description["definitions"]

    def problems(self, engine: str, method: str, path: str, body: str) -> list[str]:
        version = tuple(int(part) for part in engine.split("."))[:2]
        found = self._operation(path)
        if found is None:
            return [f"there is no such path: {path}"]
        methods, parameters = found
        operation = methods.get(method.lower())
        if operation is None:
            return [f"{path} has no method {method}"]
        schema = next((p["schema"] for p in operation.get("parameters", []) if p["in"] == "body"), None)
        if schema is None:
            return [f"{method} {path} takes no body"] if body else []
        try:
            value = json.loads(body)
        except ValueError as error:
            return [f"the body is not JSON: {error}"]
        problems = list(self._check(value, schema, "body", version))
        for name, text in parameters.items():
            if not re.fullmatch(r"[A-Za-z0-9_]+", text):
                problems.append(f"'{text}' is not a resource id")
            if isinstance(value, dict) and value.get(name) != text:
                problems.append(f"the id in the path is '{text}', in the body '{value.get(name)}'")
        if path == "/snapshot/load" and isinstance(value, dict):
            if ("mem_backend" in value) == ("mem_file_path" in value):
                problems.append("exactly one of the two mem_* fields must be there")
        return problems

    def _operation(self, path: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        for template, methods in self._paths.items():
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
            if match := re.fullmatch(pattern, path):
                return methods, match.groupdict()
        return None

    def _check(self, value: Any, schema: dict[str, Any], where: str, version: tuple[int, ...]) -> Any:
        name = ""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            schema = self._definitions[name]
        kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
        kind = schema["type"]
        if not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool)):
            yield f"{where} is not of type {kind}: {value!r}"
            return
        if "enum" in schema and value not in [str(allowed) for allowed in schema["enum"]]:
            yield f"{where} is '{value}', none of {schema['enum']}"
        if kind == "integer" and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{where} is {value}, out of range"
        if kind == "array":
            for index, item in enumerate(value):
                yield from self._check(item, schema["items"], f"{where}[{index}]", version)
        if kind == "object":
            yield from self._check_members(value, schema, name, where, version)

    def _check_members(self, value: dict[str, Any], schema: dict[str, Any], name: str, where: str,
                       version: tuple[int, ...]) -> Any:
        known = schema.get("properties", {})
        for field in schema.get("required", []):
            if field not in value:
                yield f"{where} has no {field}"
        for field, content in value.items():
            if field not in known:
                yield f"{where} has the unknown field {field}"
            elif version < SINCE.get((name, field), version):
                yield f"{where}.{field} came only with {SINCE[(name, field)]}"
            else:
                yield from self._check(content, known[field], f"{where}.{field}", version)


def facts_dir() -> pathlib.Path:
    named = os.environ.get("FIRECLAW_FACTS_DIR")
    if named:
        return pathlib.Path(named)
    return pathlib.Path(__file__).resolve().parents[3] / "shared"


def their_description() -> dict[str, Any] | None:
    file = facts_dir() / DESCRIPTION
    try:
        import yaml
    except ImportError:
        return None
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None


def main() -> int:
    lines = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()
    failures = []
    descriptions = [api.DESCRIPTION]
    if theirs := their_description():
        failures += [f"api.py is wrong: {difference}" for difference in api.differences(theirs)]
        descriptions.append(theirs)
    for checker in map(Checker, descriptions):
        for engine, method, path, body, word in WRONG:
            problems = checker.problems(engine, method, path, body)
            if not any(word in problem for problem in problems):
                failures.append(f"the check itself fails: {method} {path} {body} passed for {engine} ({problems})")
        for request in map(json.loads, lines):
            for problem in checker.problems(request["engine"], request["method"], request["path"], request["body"]):
                failures.append(f"{request}: {problem}")
    for failure in failures:
        print(failure)
    print(f"{len(lines)} requests checked against {len(descriptions)} description(s)")
    return 1 if failures or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
