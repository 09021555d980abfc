"""The jobs for Nomad and Kubernetes, as far as that goes without either: their files are read, and the commands in them
are run, signalled and killed as those engines would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Optional

try:
    import hcl  # type: ignore[import]
    import yaml  # type: ignore[import]
except ImportError as error:
    print(f"skipped: {error}; install python3-pyhcl and python3-yaml")
    raise SystemExit(77)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "agents"))

from crew import FIRECLAW, HOME, Crew, agents, enter_private_network, eventually, is_gone  # noqa: E402
import ngircd  # noqa: E402

JOBS = Path(os.environ["FIRECLAW_EXAMPLES"]) / "jobs"


def kubernetes(kind: str) -> Any:
    documents = yaml.safe_load_all((JOBS / "kubernetes/agents.yaml").read_text())
    return next(document for document in documents if document["kind"] == kind)


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


class Files(unittest.TestCase):
    def test_what_the_stateful_set_names_is_there(self) -> None:
        spec = kubernetes("StatefulSet")["spec"]
        labels = spec["template"]["metadata"]["labels"]
        self.assertEqual(spec["selector"]["matchLabels"], labels)
        self.assertEqual(kubernetes("Service")["spec"]["selector"], labels)
        self.assertEqual(kubernetes("Service")["metadata"]["name"], spec["serviceName"])
        pod = spec["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
        for container in pod["initContainers"] + pod["containers"]:
            self.assertEqual({mount["name"] for mount in container["volumeMounts"]}, volumes)
        maps = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
        self.assertEqual(maps, {kubernetes("ConfigMap")["metadata"]["name"]})

    def test_the_container_has_the_images_where_the_pod_looks_for_them(self) -> None:
        [setup] = kubernetes("StatefulSet")["spec"]["template"]["spec"]["initContainers"]
        self.assertIn("ln -sfn /opt/fireclaw/images ", setup["args"][0])
        self.assertIn("COPY home/images /opt/fireclaw/images\n", (JOBS / "kubernetes/Containerfile").read_text())


class Foreground(Crew):
    """A job's command: started, found ready, ended, killed, started again."""

    def run_job(self, name: str, command: list[str], environment: dict[str, str], grace: float,
                probe: Optional[list[str]] = None) -> None:
        self.assertEqual(Path(command[0]).name, "fireclaw")
        environment = {**os.environ, **environment, "FIRECLAW_HOME": HOME,
                       "PATH": f"{os.path.dirname(FIRECLAW)}:{os.environ['PATH']}"}
        self.assertEqual(environment.get("AGENT", name), name)

        def start() -> "subprocess.Popen[str]":
            process = subprocess.Popen([FIRECLAW, *command[1:]], env=environment, stdout=subprocess.PIPE, text=True)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            assert process.stdout
            self.addCleanup(process.stdout.close)
            self.assertIn(f'Agent "{name}" started', process.stdout.readline())
            return process

        def ready() -> bool:
            return probe is None or subprocess.run(probe, env=environment, timeout=60, check=False).returncode == 0

        killed = start()
        engine = agents()[name]["engine_pid"]
        killed.kill()
        eventually(lambda: is_gone(engine))
        self.assertFalse(probe is not None and ready())
        ended = start()
        eventually(ready)
        began = time.monotonic()
        ended.send_signal(signal.SIGTERM)
        self.assertEqual(ended.wait(60), 0)
        self.assertLess(time.monotonic() - began, grace)
        self.assertEqual(agents()[name]["state"], "stopped")

    def test_nomad(self) -> None:
        job = hcl.loads((JOBS / "nomad/agents.nomad.hcl").read_text())["job"]["agents"]
        task = job["group"]["worker"]["task"]["agent"]
        self.assertEqual(task["kill_signal"], "SIGTERM")
        words = [word.replace("${NOMAD_ALLOC_INDEX}", "0") for word in task["config"]["args"]]
        self.run_job("worker-0", [task["config"]["command"], *words], task["env"], seconds(task["kill_timeout"]))

    def test_kubernetes(self) -> None:
        pod = kubernetes("StatefulSet")["spec"]["template"]["spec"]
        [container] = pod["containers"]
        [(file, text)] = kubernetes("ConfigMap")["data"].items()
        kind = json.loads(text)
        # The servers are this test's, where agents look for them by default.
        self.assertEqual((kind.pop("irc")["port"], kind.pop("llm")["api"]), (6667, "ollama"))
        template = Path(HOME) / "templates" / file
        template.write_text(json.dumps(kind))
        self.addCleanup(template.unlink)
        words = [word.replace("$(AGENT)", "helper-0") for word in container["command"]]
        self.run_job("helper-0", words, {"AGENT": "helper-0"}, pod["terminationGracePeriodSeconds"],
                     container["readinessProbe"]["exec"]["command"])


if __name__ == "__main__":
    if ngircd.PATH is None:
        print("skipped: ngircd is not installed")
        raise SystemExit(77)
    enter_private_network()
    unittest.main(verbosity=2)
