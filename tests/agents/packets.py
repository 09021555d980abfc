"""Watches a network namespace: prints a JSON object a line for each packet that any of its interfaces carries, and for each
connection to TCP port PORT, until its standard input ends.

    packets.py PORT
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys

ETH_P_ALL = 3
ARP, IPV4 = 0x0806, 0x0800
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}


def describe(frame: bytes) -> "dict[str, object]":
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ARP and len(frame) >= 42:
        return {"protocol": "arp", "to": socket.inet_ntoa(frame[38:42]), "port": 0}
    if kind != IPV4 or len(frame) < 34:
        return {"protocol": f"ethertype {kind:04x}", "to": "", "port": 0}
    header = (frame[14] & 15) * 4
    protocol = PROTOCOLS.get(frame[23], str(frame[23]))
    port = struct.unpack_from("!H", frame, 14 + header + 2)[0] if protocol in ("tcp", "udp") else 0
    return {"protocol": protocol, "to": socket.inet_ntoa(frame[30:34]), "port": port}


def main() -> None:
    listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    print(json.dumps({"ready": True}), flush=True)
    while True:
        ready, _, _ = select.select([packets, listener, sys.stdin], [], [])
        if packets in ready:
            frame, (interface, _, direction, _, _) = packets.recvfrom(65536)
            if len(frame) >= 14:
                seen = {"interface": interface, "leaves": direction == socket.PACKET_OUTGOING, **describe(frame)}
                print(json.dumps(seen), flush=True)
        elif listener in ready:
            listener.accept()[0].close()
            print(json.dumps({"connected": True}), flush=True)
        elif sys.stdin in ready:
            return


if __name__ == "__main__":
    main()
