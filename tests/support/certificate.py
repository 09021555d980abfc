"""A certificate that signs itself, for servers that tests play."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import unittest


def make_certificate(folder: str, name: str) -> str:
    """The path of a file with key and certificate, for `name` and 127.0.0.1. Skips the test without openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise unittest.SkipTest("the openssl program is not installed")
    path = os.path.join(folder, f"{name}.pem")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1", "-keyout", path, "-out", path + ".crt"],
                   check=True, capture_output=True)
    with open(path + ".crt", encoding="ascii") as crt, open(path, "a", encoding="ascii") as both:
        both.write(crt.read())
    return path


def server_context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
