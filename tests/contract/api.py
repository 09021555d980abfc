"""What fireclaw needs to know of Firecracker's API: the requests that it makes, what their bodies may hold, and since when.

Written from what was seen of Firecracker 1.0 to 1.17. DESCRIPTION has the shape of a Swagger description, reduced to what is
used here; a structure may have more members than are named.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

Schema = Dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}


def number(minimum: int, maximum: Optional[int] = None) -> Schema:
    return {"type": "integer", "minimum": minimum, **({} if maximum is None else {"maximum": maximum})}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def structure(required: Dict[str, Schema], optional: Optional[Dict[str, Schema]] = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def request(body: Optional[str] = None) -> Schema:
    return {"parameters": [] if body is None else [{"in": "body", "schema": ref(body)}]}


DESCRIPTION: Schema = {
    "paths": {
        "/": {"get": request()},
        "/version": {"get": request()},
        "/machine-config": {"get": request(), "put": request("MachineConfiguration")},
        "/boot-source": {"put": request("BootSource")},
        "/drives/{drive_id}": {"put": request("Drive"), "patch": request("PartialDrive")},
        "/network-interfaces/{iface_id}": {"put": request("NetworkInterface")},
        "/vsock": {"put": request("Vsock")},
        "/entropy": {"put": request("EntropyDevice")},
        "/balloon": {"put": request("Balloon")},
        "/actions": {"put": request("InstanceActionInfo")},
        "/vm": {"patch": request("Vm")},
        "/snapshot/create": {"put": request("SnapshotCreateParams")},
        "/snapshot/load": {"put": request("SnapshotLoadParams")},
    },
    "definitions": {
        "MachineConfiguration": structure(
            {"vcpu_count": number(1, 32), "mem_size_mib": number(1)}, {"smt": FLAG, "track_dirty_pages": FLAG}
        ),
        "BootSource": structure({"kernel_image_path": TEXT}, {"initrd_path": TEXT, "boot_args": TEXT}),
        "Drive": structure(
            {"drive_id": TEXT, "is_root_device": FLAG},
            {"path_on_host": TEXT, "is_read_only": FLAG, "rate_limiter": ref("RateLimiter")},
        ),
        "PartialDrive": structure({"drive_id": TEXT}, {"path_on_host": TEXT, "rate_limiter": ref("RateLimiter")}),
        "RateLimiter": structure({}, {"bandwidth": ref("TokenBucket"), "ops": ref("TokenBucket")}),
        "TokenBucket": structure({"size": number(0), "refill_time": number(0)}),
        "NetworkInterface": structure(
            {"iface_id": TEXT, "host_dev_name": TEXT}, {"guest_mac": TEXT, "mtu": number(68, 65535)}
        ),
        "Vsock": structure({"guest_cid": number(3), "uds_path": TEXT}),
        "EntropyDevice": structure({}),
        "Balloon": structure({"amount_mib": number(0), "deflate_on_oom": FLAG}, {"free_page_reporting": FLAG}),
        "InstanceActionInfo": structure({"action_type": one_of("FlushMetrics", "InstanceStart", "SendCtrlAltDel")}),
        "Vm": structure({"state": one_of("Paused", "Resumed")}),
        "SnapshotCreateParams": structure(
            {"snapshot_path": TEXT, "mem_file_path": TEXT}, {"snapshot_type": one_of("Full", "Diff")}
        ),
        "SnapshotLoadParams": structure(
            {"snapshot_path": TEXT},
            {
                "mem_file_path": TEXT,
                "mem_backend": ref("MemoryBackend"),
                "resume_vm": FLAG,
                "track_dirty_pages": FLAG,
                "network_overrides": {"type": "array", "items": ref("NetworkOverride")},
                "vsock_override": ref("VsockOverride"),
                "clock_realtime": FLAG,
                "huge_pages": one_of("Snapshot", "None", "Transparent", "2M"),
            },
        ),
        "MemoryBackend": structure({"backend_type": one_of("File", "Uffd"), "backend_path": TEXT}),
        "NetworkOverride": structure({"iface_id": TEXT, "host_dev_name": TEXT}),
        "VsockOverride": structure({"uds_path": TEXT}),
    },
}


def differences(theirs: Schema) -> List[str]:
    """What DESCRIPTION says that another description of the API does not. Limits here may be narrower."""
    found: List[str] = []
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            other = theirs["paths"].get(path, {}).get(method)
            if other is None:
                found.append(f"{method.upper()} {path} is unknown")
            elif _body(operation) != _body(other):
                found.append(f"{method.upper()} {path} takes another body")
    for name, ours in DESCRIPTION["definitions"].items():
        other = theirs["definitions"].get(name)
        if other is None:
            found.append(f"{name} is unknown")
            continue
        if set(ours["required"]) != set(other.get("required", [])):
            found.append(f"{name} requires {other.get('required', [])}")
        for field, schema in ours["properties"].items():
            member = other["properties"].get(field)
            if member is None:
                found.append(f"{name}.{field} is unknown")
            elif any(schema.get(key) != member.get(key) for key in ("type", "$ref", "enum", "items")):
                found.append(f"{name}.{field} is {member}")
            elif schema.get("minimum", 0) < member.get("minimum", 0) or schema.get("maximum", 0) > member.get("maximum", 1 << 64):
                found.append(f"{name}.{field} has other limits: {member}")
    return found


def _body(operation: Schema) -> Optional[Schema]:
    return next((parameter["schema"] for parameter in operation.get("parameters", []) if parameter["in"] == "body"), None)
