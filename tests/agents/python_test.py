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
        agents = open_host().agents()
        alice = self.human()
        ann = agents.start(fireclaw.AgentConfig("quick", "ann", fireclaw.AgentSettings(persona="You are Ann.")))
        info = ann.start_info()
        self.assertEqual((info.name, info.state, info.online), ("ann", fireclaw.AgentState.RUNNING, True))
        self.assertIn("guest", [phase.name for phase in info.phases])
        with self.assertRaises(fireclaw.AlreadyExistsError):
            agents.start(fireclaw.AgentConfig("quick", "ann"))
        self.assertEqual([(one.name, one.vm) for one in agents.list()], [("ann", info.vm)])
        self.assertEqual(agents.open("ann").start_info().network, "nat")
        self.assertEqual(ann.status().channels, ["#agents"])

        reloaded = ann.reload(fireclaw.AgentSettings(model="gemma3:4b", trigger="hey"))
        self.assertEqual((reloaded.model, reloaded.trigger), ("gemma3:4b", "hey"))
        with self.assertRaises(ValueError):
            ann.reload(fireclaw.AgentSettings(model="no model"))
        alice.hears("ann", "#agents", r"\[reloaded")
        alice.say("#agents", "hey you")
        self.assertTrue(alice.hears("ann", "#agents", "", ANSWER_SECONDS))
        self.assertEqual(self.llm.requests[-1]["body"]["model"], "gemma3:4b")
        self.assertIn("You are Ann.", self.system_prompt(self.llm.requests[-1]))

        self.assertIn("joined #agents", ann.logs())
        self.assertEqual(len(ann.logs(lines=1).splitlines()), 1)
        self.assertIn("# Agent Memory", ann.memory())
        self.assertEqual(ann.exec("id -un; pwd").text, "agent\n/workspace\n")
        self.assertEqual(ann.ssh(["id", "-un"]).wait().text, "agent\n")
        process = ann.spawn("exec sleep 1000")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait().signal, signal.SIGTERM)
        with ann.machine() as machine:
            self.assertEqual(machine.info().agent, "ann")
            self.assertEqual(machine.exec("hostname").text, "ann\n")

        bea = ann.fork(fireclaw.ForkConfig("bea"))
        second = bea.start_info()
        self.assertEqual((second.name, second.model, second.online), ("bea", "gemma3:4b", True))
        self.assertIn("pause", [phase.name for phase in second.phases])
        saved = bea.snapshot("from-python")
        self.addCleanup(open_host().snapshots().remove, "from-python")
        self.assertEqual((saved.agent, saved.usable), ("bea", True))
        bea.stop()

        watch = ann.watch()
        self.assertFalse(watch.ended() or watch.wait(0.1))
        ann.stop()
        self.assertTrue(watch.wait(10) and watch.ended())
        alice.expect("ann!.* QUIT ")
        self.assertTrue(is_gone(info.engine_pid))
        self.assertEqual(ann.info().state, fireclaw.AgentState.STOPPED)
        for call in (ann.watch, ann.pause, ann.machine):
            with self.assertRaises(fireclaw.InvalidStateError):
                call()
        self.assertIn("ending", ann.logs())
        ann.remove()
        for gone in (ann.stop, ann.info):
            with self.assertRaises(LookupError):
                gone()
        with self.assertRaises(LookupError):
            agents.open("ann")

    def test_it_is_paused_restarted_and_followed(self) -> None:
        agents = open_host().agents()
        ben = agents.start(fireclaw.AgentConfig("quick", "ben"))
        first = ben.start_info()
        ben.pause()
        self.assertEqual(ben.info().state, fireclaw.AgentState.PAUSED)
        ben.resume()
        self.assertEqual(ben.info().state, fireclaw.AgentState.RUNNING)

        stop, seen = fireclaw.StopSource(), bytearray()
        follower = threading.Thread(target=ben.follow_logs, args=(5, seen.extend, stop))
        follower.start()
        try:
            eventually(lambda: b"joined #agents" in seen)
            ben.reload(fireclaw.AgentSettings(persona="You are Ben."))
            eventually(lambda: b"reloaded" in seen)
        finally:
            stop.request_stop()
            follower.join()

        second = ben.restart()
        self.assertNotEqual(first.vm, second.vm)
        self.assertTrue(second.online and is_gone(first.engine_pid))
        self.assertEqual(agents.reconcile(), fireclaw.ReconcileReport(["ben"], [], [], [], []))
        with self.assertRaises(fireclaw.InvalidStateError):
            ben.remove()

    def test_one_that_is_not_detached_ends_with_its_last_handle(self) -> None:
        agents = open_host().agents()
        cleo = agents.start(fireclaw.AgentConfig("quick", "cleo", detached=False), fireclaw.AgentStartOptions(join_timeout=0))
        info = cleo.start_info()
        del agents
        self.assertEqual(cleo.exec("hostname").text, "cleo\n")
        del cleo
        eventually(lambda: is_gone(info.engine_pid))

    def test_a_start_that_is_told_to_stop_leaves_nothing(self) -> None:
        stop = fireclaw.StopSource()
        stop.request_stop()
        agents = open_host().agents()
        with self.assertRaises(fireclaw.CancelledError):
            agents.start(fireclaw.AgentConfig("quick", "dora"), fireclaw.AgentStartOptions(stop=stop))
        self.assertEqual([info.vm for info in agents.list()], [""] * len(agents.list()))


class Networks(Crew):
    def test_the_network_is_made_used_described_and_removed(self) -> None:
        host = open_host()
        host.network().down()
        self.assertFalse(host.network().down())
        self.assertEqual(host.network().best_mode().mode, fireclaw.NetworkMode.NAT)
        host.network().up()
        self.assertTrue(host.network().info().up)
        with socket.create_server(("0.0.0.0", 8081)), socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
            probe.close()
            nat = fireclaw.NatOptions(egress="none", publish=[f"{port}:80"], services="all")
            with host.vms().run(fireclaw.VMConfig(network="nat", nat=nat)) as vm:
                address = vm.info().address
                self.assertRegex(vm.exec("ip -4 -o addr show eth0").text, rf" {address}/24 ")
                [lease] = host.network().info().leases
                self.assertEqual((lease.address, lease.vm, lease.alive), (address, vm.info().id, True))
                with self.assertRaises(fireclaw.InvalidStateError):
                    host.network().down()
                # The gateway answers for the LLM, and passes on only what is asked of one; the other port is closed.
                gateway = host.network().info().gateway
                self.assertIn("404 Not Found", vm.exec(f"wget -O- http://{gateway}:11434/", timeout=30).err_text)
                self.assertFalse(vm.exec(f"nc -w 2 {gateway} 8081 < /dev/null").ok)
                vm.exec("mkdir /srv; echo served > /srv/index.html; httpd -h /srv")
                with socket.create_connection(("127.0.0.1", port), 10) as web:
                    web.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    self.assertIn(b"served", web.makefile("rb").read())
        self.assertEqual(host.network().info().leases, [])
        self.assertTrue(host.network().down())
        self.assertFalse(host.network().info().up)


if __name__ == "__main__":
    if ngircd.PATH is None:
        print("skipped: ngircd is not installed")
        raise SystemExit(77)
    enter_private_network()
    unittest.main(verbosity=2)
