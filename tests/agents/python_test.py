"""Agents and networks from Python: the package's own calls, against real machines in a network namespace of their own."""

from __future__ import annotations

import signal
import socket
import threading
import unittest

import fireclaw
from crew import HOME, Crew, enter_private_network, eventually, is_gone
import ngircd

ANSWER_SECONDS = 60.0


def open_host() -> fireclaw.Host:
    return fireclaw.Host.open(fireclaw.HostOptions(home=HOME))


class Agents(Crew):
    def test_an_agent_is_started_asked_changed_and_stopped(self) -> None:
        agents = fireclaw.AgentManager(open_host())
        alice = self.human()
        info = agents.start(fireclaw.AgentConfig("quick", "ann", fireclaw.AgentSettings(persona="You are Ann.")))
        self.assertEqual((info.name, info.state, info.online), ("ann", fireclaw.AgentState.RUNNING, True))
        self.assertIn("guest", [phase.name for phase in info.phases])
        with self.assertRaises(fireclaw.AlreadyExistsError):
            agents.start(fireclaw.AgentConfig("quick", "ann"))
        self.assertEqual([(one.name, one.vm) for one in agents.list()], [("ann", info.vm)])
        self.assertEqual(agents.info("ann").network, "nat")
        self.assertEqual(agents.status("ann").channels, ["#agents"])

        reloaded = agents.reload("ann", fireclaw.AgentSettings(model="gemma3:4b", trigger="hey"))
        self.assertEqual((reloaded.model, reloaded.trigger), ("gemma3:4b", "hey"))
        with self.assertRaises(ValueError):
            agents.reload("ann", fireclaw.AgentSettings(model="no model"))
        alice.hears("ann", "#agents", r"\[reloaded")
        alice.say("#agents", "hey you")
        self.assertTrue(alice.hears("ann", "#agents", "", ANSWER_SECONDS))
        self.assertEqual(self.llm.requests[-1]["body"]["model"], "gemma3:4b")
        self.assertIn("You are Ann.", self.system_prompt(self.llm.requests[-1]))

        self.assertIn("joined #agents", agents.logs("ann"))
        self.assertEqual(len(agents.logs("ann", lines=1).splitlines()), 1)
        self.assertIn("# Agent Memory", agents.memory("ann"))
        self.assertEqual(agents.exec("ann", "id -un; pwd").text, "agent\n/workspace\n")
        self.assertEqual(agents.ssh("ann", ["id", "-un"]).wait().text, "agent\n")
        process = agents.spawn("ann", "exec sleep 1000")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait().signal, signal.SIGTERM)
        with agents.machine("ann") as machine:
            self.assertEqual(machine.info().agent, "ann")
            self.assertEqual(machine.exec("hostname").text, "ann\n")

        second = agents.fork("ann", fireclaw.ForkConfig("bea"))
        self.assertEqual((second.name, second.model, second.online), ("bea", "gemma3:4b", True))
        self.assertIn("pause", [phase.name for phase in second.phases])
        saved = agents.snapshot("bea", "from-python")
        self.addCleanup(fireclaw.Snapshot.remove, open_host(), "from-python")
        self.assertEqual((saved.agent, saved.usable), ("bea", True))
        agents.stop("bea")

        watch = agents.watch("ann")
        self.assertFalse(watch.ended() or watch.wait(0.1))
        agents.stop("ann")
        self.assertTrue(watch.wait(10) and watch.ended())
        alice.expect("ann!.* QUIT ")
        self.assertTrue(is_gone(info.engine_pid))
        self.assertEqual(agents.info("ann").state, fireclaw.AgentState.STOPPED)
        for call in (agents.watch, agents.pause, agents.machine):
            with self.assertRaises(fireclaw.InvalidStateError):
                call("ann")
        self.assertIn("ending", agents.logs("ann"))
        agents.remove("ann")
        with self.assertRaises(LookupError):
            agents.stop("ann")

    def test_it_is_paused_restarted_and_followed(self) -> None:
        agents = fireclaw.AgentManager(open_host())
        first = agents.start(fireclaw.AgentConfig("quick", "ben"))
        agents.pause("ben")
        self.assertEqual(agents.info("ben").state, fireclaw.AgentState.PAUSED)
        agents.resume("ben")
        self.assertEqual(agents.info("ben").state, fireclaw.AgentState.RUNNING)

        stop, seen = fireclaw.StopSource(), bytearray()
        follower = threading.Thread(target=agents.follow_logs, args=("ben", 5, seen.extend, stop))
        follower.start()
        try:
            eventually(lambda: b"joined #agents" in seen)
            agents.reload("ben", fireclaw.AgentSettings(persona="You are Ben."))
            eventually(lambda: b"reloaded" in seen)
        finally:
            stop.request_stop()
            follower.join()

        second = agents.restart("ben")
        self.assertNotEqual(first.vm, second.vm)
        self.assertTrue(second.online and is_gone(first.engine_pid))
        self.assertEqual(agents.reconcile(), fireclaw.ReconcileReport(["ben"], [], [], [], []))
        with self.assertRaises(fireclaw.InvalidStateError):
            agents.remove("ben")

    def test_one_that_is_not_detached_ends_with_the_manager(self) -> None:
        agents = fireclaw.AgentManager(open_host())
        info = agents.start(fireclaw.AgentConfig("quick", "cleo", detached=False, join_timeout=0))
        del agents
        eventually(lambda: is_gone(info.engine_pid))

    def test_a_start_that_is_told_to_stop_leaves_nothing(self) -> None:
        stop = fireclaw.StopSource()
        stop.request_stop()
        agents = fireclaw.AgentManager(open_host())
        with self.assertRaises(fireclaw.CancelledError):
            agents.start(fireclaw.AgentConfig("quick", "dora", stop=stop))
        self.assertEqual([info.vm for info in agents.list()], [""] * len(agents.list()))


class Networks(Crew):
    def test_the_network_is_made_used_described_and_removed(self) -> None:
        host = open_host()
        fireclaw.Network.down(host)
        self.assertFalse(fireclaw.Network.down(host))
        self.assertEqual(fireclaw.Network.best_mode(host).mode, fireclaw.NetworkMode.NAT)
        fireclaw.Network.up(host)
        self.assertTrue(fireclaw.Network.info(host).up)
        with socket.create_server(("0.0.0.0", 8081)), socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
            probe.close()
            nat = fireclaw.NatOptions(egress="none", publish=[f"{port}:80"], services="all")
            with fireclaw.VM.run(host, fireclaw.VMConfig(network="nat", nat=nat)) as vm:
                address = vm.info().address
                self.assertRegex(vm.exec("ip -4 -o addr show eth0").text, rf" {address}/24 ")
                [lease] = fireclaw.Network.info(host).leases
                self.assertEqual((lease.address, lease.vm, lease.alive), (address, vm.info().id, True))
                with self.assertRaises(fireclaw.InvalidStateError):
                    fireclaw.Network.down(host)
                # The gateway answers for the LLM, and passes on only what is asked of one; the other port is closed.
                gateway = fireclaw.Network.info(host).gateway
                self.assertIn("404 Not Found", vm.exec(f"wget -O- http://{gateway}:11434/", timeout=30).err_text)
                self.assertFalse(vm.exec(f"nc -w 2 {gateway} 8081 < /dev/null").ok)
                vm.exec("mkdir /srv; echo served > /srv/index.html; httpd -h /srv")
                with socket.create_connection(("127.0.0.1", port), 10) as web:
                    web.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    self.assertIn(b"served", web.makefile("rb").read())
        self.assertEqual(fireclaw.Network.info(host).leases, [])
        self.assertTrue(fireclaw.Network.down(host))
        self.assertFalse(fireclaw.Network.info(host).up)


if __name__ == "__main__":
    if ngircd.PATH is None:
        print("skipped: ngircd is not installed")
        raise SystemExit(77)
    enter_private_network()
    unittest.main(verbosity=2)
