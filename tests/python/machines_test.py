"""Real machines from Python: commands, callbacks, streams, threads, tasks, pools, workspaces."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import shutil
import signal
import tarfile
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import fireclaw
from support import HOME, open_host, running, wait_until


class OneMachine(unittest.TestCase):
    """Tests that share a machine."""

    host: fireclaw.Host
    vm: fireclaw.VM

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = open_host()
        cls.vm = cls.host.vms().run()
        cls.addClassCleanup(cls.vm.close)

    def test_outputs_status_and_duration_are_in_the_result(self) -> None:
        result = self.vm.exec("echo out; echo err >&2; exit 3")
        self.assertEqual((result.exit_code, result.out, result.err), (3, b"out\n", b"err\n"))
        self.assertEqual((result.text, result.err_text, result.ok), ("out\n", "err\n", False))
        self.assertGreater(result.duration, 0)

    def test_a_list_is_a_program_with_its_arguments(self) -> None:
        self.assertEqual(self.vm.exec(["echo", "a  b", "$HOME"]).out, b"a  b $HOME\n")

    def test_options_reach_the_command(self) -> None:
        result = self.vm.exec('echo "$A"; pwd; id -un; cat', env={"A": "1 2"}, cwd="/tmp", user="nobody", input="x\ny")
        self.assertEqual(result.text, "1 2\n/tmp\nnobody\nx\ny")

    def test_bytes_go_through_as_they_are(self) -> None:
        data = os.urandom(200_000)
        self.assertEqual(self.vm.exec("cat", input=data).out, data)
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.seek(0)
            self.assertEqual(self.vm.exec("cat", input_fd=file).out, data)

    def test_a_timeout_is_a_value(self) -> None:
        result = self.vm.exec("sleep 1000", timeout=0.5)
        self.assertTrue(result.timed_out)
        self.assertFalse(result.ok)

    def test_callbacks_get_output_on_the_calling_thread(self) -> None:
        seen: list[tuple[bytes, int]] = []
        result = self.vm.exec("echo one; echo two >&2",
                              on_stdout=lambda data: seen.append((data, threading.get_ident())),
                              on_stderr=lambda data: seen.append((data, threading.get_ident())))
        self.assertEqual(sorted(seen), [(b"one\n", threading.get_ident()), (b"two\n", threading.get_ident())])
        self.assertEqual(result.out, b"")

    def test_what_a_callback_raises_ends_the_command_and_comes_out(self) -> None:
        def fail(data: bytes) -> None:
            raise ZeroDivisionError(data)

        def run() -> fireclaw.ExecResult:
            return self.vm.exec("echo up; sleep 1000", on_stdout=fail)

        with ThreadPoolExecutor(1) as threads:
            for elsewhere in (False, True):
                with self.assertRaises(ZeroDivisionError) as caught:
                    threads.submit(run).result() if elsewhere else run()
                self.assertEqual(caught.exception.args, (b"up\n",))
        self.assertTrue(self.vm.exec("true").ok)

    def test_a_callback_may_run_another_command(self) -> None:
        inner: list[str] = []
        self.vm.exec("echo outer", on_stdout=lambda data: inner.append(self.vm.exec("echo inner").text))
        self.assertEqual(inner, ["inner\n"])

    def test_a_stream_gives_output_as_it_appears(self) -> None:
        with self.vm.stream("echo one; read line; echo $line; echo two >&2; exit 4", input=b"typed\n") as stream:
            pieces = list(stream)
        joined = {name: b"".join(data for kind, data in pieces if kind == name) for name in ("stdout", "stderr")}
        self.assertEqual(joined, {"stdout": b"one\ntyped\n", "stderr": b"two\n"})
        self.assertEqual(stream.result.exit_code, 4)

    def test_a_stream_that_is_left_early_ends_its_command(self) -> None:
        with self.vm.stream("echo $$; while :; do echo more; done") as stream:
            _, first = next(stream)
        self.assertTrue(stream.result.cancelled)
        self.assertFalse(self.vm.exec(["kill", "-0", first.split()[0].decode()]).ok)
        self.assertEqual(list(stream), [])

    def test_a_stream_that_nobody_has_any_more_ends_its_command(self) -> None:
        for _, first in self.vm.stream("echo $$; while :; do echo more; done"):
            break
        shell = first.split()[0].decode()
        self.assertTrue(wait_until(lambda: not self.vm.exec(["kill", "-0", shell]).ok))

    def test_words_are_taken_as_subprocess_takes_them(self) -> None:
        odd = os.fsdecode(b"odd \xff")
        self.assertEqual(self.vm.exec([Path("/bin/echo"), odd, b"\xfe"]).out, b"odd \xff \xfe\n")
        self.assertEqual(self.vm.exec(b"echo $A", env={"A": odd}).out, b"odd \xff\n")
        self.assertEqual(self.vm.exec("cat", input=memoryview(b"bytes")).out, b"bytes")
        with self.assertRaises(fireclaw.InvalidArgumentError) as caught:
            self.vm.exec("true", env={"A=B": "1"})
        self.assertIn("A=B", str(caught.exception))

    def test_a_commands_failure_can_be_handed_to_another_process(self) -> None:
        with self.assertRaises(fireclaw.CommandError) as caught:
            self.vm.exec("echo why >&2; exit 3").check()
        copied = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((str(copied), copied.result), (str(caught.exception), caught.exception.result))

    def test_a_process_takes_signals_while_another_thread_waits(self) -> None:
        up = threading.Event()
        process = self.vm.spawn("trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done",
                                on_stdout=lambda data: up.set())
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(process.wait)
            self.assertTrue(up.wait(60))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(waiting.result(60).exit_code, 9)

    def test_sixteen_threads_run_commands_at_once(self) -> None:
        barrier = threading.Barrier(16)

        def work(number: int) -> str:
            barrier.wait(60)
            return "".join(self.vm.exec(f"echo {number}.{turn}").text for turn in range(3))

        with ThreadPoolExecutor(16) as threads:
            results = list(threads.map(work, range(16)))
        self.assertEqual(results, [f"{number}.0\n{number}.1\n{number}.2\n" for number in range(16)])

    def test_other_threads_run_while_one_waits(self) -> None:
        ticks = 0
        done = threading.Event()

        def tick() -> None:
            nonlocal ticks
            while not done.wait(0.01):
                ticks += 1

        thread = threading.Thread(target=tick)
        thread.start()
        try:
            self.vm.exec("sleep 1")
        finally:
            done.set()
            thread.join()
        self.assertGreater(ticks, 10)

    def test_a_stop_source_cancels_from_another_thread(self) -> None:
        stop = fireclaw.StopSource()
        result = self.vm.exec("echo up; sleep 1000", stop=stop, on_stdout=lambda data: stop.request_stop())
        self.assertTrue(result.cancelled)

    def test_a_task_that_is_cancelled_ends_its_command(self) -> None:
        async def main() -> float:
            up = asyncio.Event()
            loop = asyncio.get_running_loop()
            task = asyncio.create_task(fireclaw.to_thread(
                self.vm.exec, "echo up; sleep 1000", on_stdout=lambda data: loop.call_soon_threadsafe(up.set)))
            plain = asyncio.create_task(asyncio.to_thread(self.vm.exec, "echo beside"))
            await asyncio.wait_for(up.wait(), 60)
            began = time.monotonic()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual((await plain).text, "beside\n")
            return time.monotonic() - began

        self.assertLess(asyncio.run(main()), 30)
        self.assertEqual(self.vm.exec("pgrep -f 'sleep 100[0]'").out, b"")

    def test_sixteen_tasks_run_commands_at_once_and_a_timeout_ends_one(self) -> None:
        async def main() -> list[str]:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(fireclaw.to_thread(self.vm.exec, "sleep 1000"), 0.5)
            results = await asyncio.gather(*(fireclaw.to_thread(self.vm.exec, f"echo {number}") for number in range(16)))
            return [result.text for result in results]

        self.assertEqual(asyncio.run(main()), [f"{number}\n" for number in range(16)])
        self.assertEqual(self.vm.exec("pgrep -f 'sleep 100[0]'").out, b"")

    def test_files_are_copied_in_and_out(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "in").write_bytes(b"abc")
            self.assertEqual(self.vm.copy_in(folder / "in", "/tmp/copied").files, 1)
            self.vm.copy_out("/tmp/copied", str(folder / "out"))
            self.assertEqual((folder / "out").read_bytes(), b"abc")
            with self.assertRaises(fireclaw.NotFoundError):
                self.vm.copy_out("/tmp/nothing", folder / "none")

    def test_a_copy_is_told_what_it_may_take_and_what_becomes_of_links(self) -> None:
        made = self.vm.exec("mkdir /tmp/tree; cd /tmp/tree; echo 12345 >file; ln -s /etc/passwd out; mkfifo pipe")
        self.assertTrue(made.ok)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            copied = self.vm.copy_out("/tmp/tree", folder / "a")
            self.assertEqual((copied.files, copied.links_left_out, copied.skipped), (1, 1, 1))
            copied = self.vm.copy_out("/tmp/tree", folder / "b", links=fireclaw.CopyLinks.KEEP, timeout=60)
            self.assertEqual((copied.files, copied.links_left_out), (2, 0))
            self.assertEqual(os.readlink(folder / "b" / "out"), "/etc/passwd")
            with self.assertRaisesRegex(fireclaw.IoError, "5 of 5"):
                self.vm.copy_out("/tmp/tree/file", folder / "c", max_bytes=5)
            with self.assertRaisesRegex(fireclaw.IoError, "1 files"):
                self.vm.copy_out("/tmp/tree", folder / "d", max_files=1)
            with self.assertRaises(ValueError):
                self.vm.copy_out("/tmp/tree", folder / "e", links="some")
            self.assertEqual(sorted(os.listdir(folder)), ["a", "b"])
            self.vm.copy_in(folder / "a", "/tmp/theirs", owner="12:34")
            self.assertEqual(self.vm.exec("stat -c %u:%g /tmp/theirs/file").out, b"12:34\n")

    def test_single_files_are_written_read_listed_and_removed(self) -> None:
        files = self.vm.files
        data = bytes(range(256)) * 1000
        written = files.write("/tmp/files/deep/f", data, parents=True, mode=0o640)
        self.assertEqual((written.size, written.mode, written.type), (len(data), 0o640, fireclaw.FileType.FILE))
        self.assertEqual(files.read(Path("/tmp/files/deep/f")), data)
        self.assertEqual(files.read("/tmp/files/deep/f", offset=255, limit=2), b"\xff\x00")
        files.write("/tmp/files/log", "one ")
        files.write("/tmp/files/log", "two", append=True)
        self.assertEqual(files.read_text("/tmp/files/log"), "one two")
        self.vm.exec("cd /tmp/files; ln -s log link; touch \"$(printf 'odd\\377')\"").check()
        listed = {info.name: info for info in files.list("/tmp/files")}
        odd = os.fsdecode(b"odd\xff")
        self.assertEqual(sorted(listed), sorted(["deep", "link", "log", odd]))
        self.assertEqual((listed["link"].type, listed["link"].target), (fireclaw.FileType.LINK, "log"))
        self.assertEqual([info.name for info in files.list("/tmp/files", limit=1)], ["deep"])
        files.remove(f"/tmp/files/{odd}")
        self.assertFalse(files.exists(f"/tmp/files/{odd}"))
        with self.assertRaises(fireclaw.InvalidStateError):
            files.remove("/tmp/files")
        files.remove("/tmp/files", recursive=True)
        with self.assertRaises(fireclaw.NotFoundError):
            files.stat("/tmp/files")
        with self.assertRaises(fireclaw.PermissionDeniedError):
            files.make_directory("/root/x", user="1000:1000")
        files.make_directory("/tmp/private", mode=0o700, user="0:0")
        self.assertEqual(files.stat("/tmp/private").mode, 0o700)

    def test_a_write_that_finds_the_disk_full_leaves_what_was_there(self) -> None:
        self.vm.exec("mkdir -p /tmp/small; mount -t tmpfs -o size=64k none /tmp/small; printf old >/tmp/small/f; "
                     "printf two >/tmp/small/g; ln /tmp/small/g /tmp/small/h").check()
        for name in ("f", "g"):
            for append in (False, True):
                with self.assertRaisesRegex(fireclaw.IoError, "space"):
                    self.vm.files.write(f"/tmp/small/{name}", b"n" * 100_000, append=append)
        self.assertEqual(self.vm.exec("cd /tmp/small; cat f g h; ls -A").stdout, "oldtwotwof\ng\nh\n")
        self.vm.exec("umount /tmp/small").check()

    def test_a_service_is_started_listed_and_stopped(self) -> None:
        self.vm.start_service(fireclaw.ServiceOptions("idle", ["sleep", "1000"], restart="never"))
        with self.assertRaises(fireclaw.AlreadyExistsError):
            self.vm.start_service(fireclaw.ServiceOptions("idle", ["sleep", "1000"]))
        [info] = self.vm.services()
        self.assertEqual((info.name, info.state), ("idle", fireclaw.ServiceState.RUNNING))
        self.vm.stop_service("idle", grace=5)
        [info] = self.vm.services()
        self.assertEqual((info.state, info.pid), (fireclaw.ServiceState.STOPPED, 0))


class Machines(unittest.TestCase):
    host: fireclaw.Host

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = open_host()

    def test_run_makes_a_machine_for_one_command(self) -> None:
        before = {vm.id for vm in self.host.vms().list()}
        result = fireclaw.run("uname -r", host=self.host, timeout=60)
        self.assertTrue(result.ok)
        self.assertEqual(result.text.strip(), self.host.images().info("busybox").kernel_release)
        self.assertEqual({vm.id for vm in self.host.vms().list()}, before)

    def test_a_machine_is_made_from_keywords_in_the_default_home(self) -> None:
        before, os.environ["FIRECLAW_HOME"] = os.environ.get("FIRECLAW_HOME"), str(HOME)
        try:
            with fireclaw.VM(image="busybox", memory_mib=128) as vm:
                self.assertEqual(vm.exec("echo here").check().stdout, "here\n")
                with self.assertRaises(fireclaw.CommandError) as caught:
                    vm.exec("echo why >&2; exit 3").check()
                self.assertEqual(str(caught.exception), "the command ended with status 3: why")
                self.assertEqual(caught.exception.result.stderr, "why\n")
        finally:
            os.environ.pop("FIRECLAW_HOME")
            if before is not None:
                os.environ["FIRECLAW_HOME"] = before
        with fireclaw.VM(host=self.host, hostname="named") as vm:
            self.assertEqual(asyncio.run(vm.aexec("hostname", timeout=60)).stdout, "named\n")
        with self.assertRaises(TypeError):
            fireclaw.VM(colour="red")

    def test_a_machine_with_a_name_outlives_its_handle_and_its_stop(self) -> None:
        machines = self.host.machines()
        made = machines.create(fireclaw.MachineConfig(name="py", machine=fireclaw.VMConfig(scratch_mib=16)))
        self.addCleanup(machines.remove, "py", force=True)
        self.assertEqual((made.state, made.name), (fireclaw.VMState.RUNNING, "py"))
        with self.host.vms().attach("py") as vm:
            vm.exec("echo kept > /scratch/f").check()
        machines.stop("py")
        self.assertEqual(machines.info("py").state, fireclaw.VMState.STOPPED)
        machines.start("py")
        with self.host.vms().attach("py") as vm:
            self.assertEqual(vm.exec("cat /scratch/f").stdout, "kept\n")
        report = machines.tend()
        self.assertEqual((list(report.stopped), list(report.paused)), ([], []))

    def test_cancelling_the_task_of_a_run_ends_its_machine(self) -> None:
        before = {vm.id for vm in self.host.vms().list()}

        async def main() -> None:
            up, loop = asyncio.Event(), asyncio.get_running_loop()
            task = asyncio.create_task(fireclaw.to_thread(
                fireclaw.run, "echo up; sleep 1000", host=self.host,
                on_stdout=lambda data: loop.call_soon_threadsafe(up.set)))
            await asyncio.wait_for(up.wait(), 60)
            self.assertEqual(len({vm.id for vm in self.host.vms().list()} - before), 1)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        self.assertEqual({vm.id for vm in self.host.vms().list()}, before)

    def test_a_machine_keeps_the_stop_of_its_creation_for_its_start(self) -> None:
        stop = fireclaw.StopSource()
        with self.host.vms().create(options=fireclaw.StartOptions(stop=stop)) as vm:
            stop.request_stop()
            with self.assertRaises(fireclaw.CancelledError):
                vm.start()

    def test_a_call_that_takes_options_is_cancelled_with_its_task(self) -> None:
        async def main() -> None:
            task = asyncio.create_task(fireclaw.to_thread(
                self.host.machines().create, fireclaw.MachineConfig("never", fireclaw.VMConfig(start=fireclaw.StartMode.COLD)),
                options=fireclaw.StartOptions()))
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        self.assertNotIn("never", [machine.name for machine in self.host.machines().list()])

    def test_the_end_of_with_ends_the_machine(self) -> None:
        with self.assertRaises(KeyError), self.host.vms().run() as vm:
            info = vm.info()
            self.assertEqual(info.state, fireclaw.VMState.RUNNING)
            self.assertTrue(running(info.engine_pid))
            self.assertIn(info.id, [other.id for other in self.host.vms().list()])
            raise KeyError
        self.assertFalse(running(info.engine_pid))
        self.assertNotIn(info.id, [other.id for other in self.host.vms().list()])
        self.assertFalse((Path(HOME) / "runs" / info.id).exists())
        with self.assertRaises(fireclaw.InvalidStateError):
            vm.exec("true")
        self.assertEqual(repr(vm), "<VM, closed>")

    def test_the_last_reference_ends_the_machine(self) -> None:
        vm = self.host.vms().run()
        pid = vm.info().engine_pid
        del vm
        self.assertTrue(wait_until(lambda: not running(pid)))

    def test_a_forked_child_leaves_its_parents_machines_alone(self) -> None:
        vm = self.host.vms().run(fireclaw.VMConfig(network="none"))
        vm.exec("true")
        pool = self.host.vms().pool(fireclaw.PoolConfig(machine=fireclaw.VMConfig(network="none"), size=1))
        stream = vm.stream("sleep 1; echo streamed")
        busy = threading.Thread(target=lambda: vm.exec("sleep 1"))
        busy.start()

        def inert(use: Callable[[], object]) -> bool:
            try:
                use()
            except fireclaw.InvalidStateError as problem:
                return "forked" in str(problem)
            return False

        def leave_block() -> bool:
            # As sys.exit() does in a child that was forked in one.
            try:
                with vm, pool, stream:
                    raise SystemExit(7)
            except SystemExit as leaving:
                return leaving.code == 7

        def end_by_garbage() -> bool:
            nonlocal vm, pool, stream
            del vm, pool, stream
            gc.collect()
            return True

        for body in (lambda: inert(lambda: vm.exec("true")), lambda: inert(vm.info), lambda: inert(vm.kill), lambda: inert(pool.ready),
                     lambda: inert(lambda: next(stream)), lambda: repr(vm) == f"<VM, of process {os.getppid()}>", leave_block, end_by_garbage):
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                os._exit(0 if body() else 1)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        busy.join()
        self.assertEqual(list(stream), [("stdout", b"streamed\n")])
        self.assertEqual(vm.exec("echo alive").text, "alive\n")
        pool.take(timeout=60).kill()

    def test_a_detached_machine_outlives_its_handle(self) -> None:
        with self.host.vms().run(fireclaw.VMConfig(detached=True)) as vm:
            identity = vm.info().id
        try:
            with self.host.vms().attach(identity) as again:
                self.assertEqual(again.exec("echo there").text, "there\n")
        finally:
            self.host.vms().kill(identity)
        with self.assertRaises(fireclaw.NotFoundError):
            self.host.vms().attach(identity)

    def test_a_snapshot_is_taken_restored_and_removed(self) -> None:
        name = f"python-{os.getpid()}"
        with fireclaw.VM.run(self.host) as vm:
            vm.exec("echo kept > /root/file")
            snapshot = vm.snapshot(name)
        try:
            self.assertEqual((snapshot.name, snapshot.info.image), (name, "busybox"))
            with self.host.snapshots().open(name).restore() as restored:
                self.assertEqual(restored.exec("cat /root/file").text, "kept\n")
                self.assertEqual(restored.info().snapshot, name)
        finally:
            self.host.snapshots().remove(name)
        self.assertNotIn(name, [info.name for info in self.host.snapshots().list()])

    def test_a_workspace_is_shared_between_machines_and_the_host(self) -> None:
        name = f"python-{os.getpid()}"
        disk = self.host.workspaces().create(fireclaw.WorkspaceConfig(name, size_mib=16))
        try:
            with self.host.vms().run(fireclaw.VMConfig(workspace=name)) as vm:
                self.assertTrue(vm.exec("echo from-guest > /workspace/file; sync").ok)
                self.assertEqual(disk.info().vm, vm.info().id)
                with self.assertRaises(fireclaw.InvalidStateError):
                    self.host.workspaces().remove(name)
                vm.stop()
            self.assertEqual(disk.read_file("file"), b"from-guest\n")
        finally:
            self.host.workspaces().remove(name)

    def test_a_workspace_is_filled_exported_and_made_again(self) -> None:
        name, other = f"python-notes-{os.getpid()}", f"python-again-{os.getpid()}"
        for workspace in (name, other):
            self.addCleanup(self.host.workspaces().remove, workspace)
        folder = tempfile.TemporaryDirectory(prefix="fireclaw-python-")
        self.addCleanup(folder.cleanup)
        scratch = Path(folder.name)
        notes = self.host.workspaces().create(fireclaw.WorkspaceConfig(name, size_mib=16))
        data = os.urandom(5000)
        notes.write_file("data", data)
        notes.write_file(Path("text"), "häh", mode=0o600)
        self.assertEqual(notes.read_file("data"), data)
        self.assertEqual(notes.read_file("/text").decode(), "häh")
        with self.assertRaises(fireclaw.NotFoundError):
            notes.read_file("nothing")
        with self.assertRaises(ValueError):
            notes.read_file("data", max_bytes=10)
        (scratch / "folder").mkdir()
        (scratch / "folder" / "file").write_text("abc")
        self.assertEqual(notes.push(scratch / "folder", "/").files, 1)
        self.assertEqual(notes.pull("folder/file", scratch / "out").bytes, 3)
        self.assertEqual((scratch / "out").read_text(), "abc")
        with (scratch / "notes.tar").open("wb") as tar:
            notes.export_tar(tar)
        with (scratch / "notes.tar").open("rb") as tar:
            again = self.host.workspaces().create_from_tar(fireclaw.WorkspaceConfig(other, size_mib=16), tar)
        self.assertEqual(again.read_file("data"), data)

    def test_a_pool_gives_each_machine_once(self) -> None:
        with self.host.vms().pool(fireclaw.PoolConfig(size=1)) as pool:
            with pool.take() as first, pool.take(timeout=120) as second:
                self.assertNotEqual(first.info().id, second.info().id)
                self.assertEqual(first.exec("echo 1").text + second.exec("echo 2").text, "1\n2\n")
            self.assertTrue(wait_until(lambda: pool.ready() == 1, 120))
        with self.assertRaises(fireclaw.InvalidStateError):
            pool.take()
        with self.assertRaises(ValueError):
            self.host.vms().pool(fireclaw.PoolConfig(size=0))

    def test_images_and_engines_are_listed(self) -> None:
        self.assertIn("busybox", [image.name for image in self.host.images().list()])
        self.assertTrue(any(verdict.works and verdict.boot_time > 0 for verdict in self.host.engines()))
        self.assertTrue(self.host.is_set_up)

    def test_the_log_goes_to_a_callable(self) -> None:
        lines: list[tuple[fireclaw.LogLevel, str]] = []
        host = fireclaw.Host.open(fireclaw.HostOptions(
            home=HOME, engine=self.host_engine(), log=lambda level, message: lines.append((level, message))))
        # No snapshot is of that size, which the library says before it boots the machine.
        with host.vms().run(fireclaw.VMConfig(memory_mib=101)):
            pass
        self.assertTrue(any("snapshot" in message for _, message in lines), lines)
        self.assertTrue(all(isinstance(level, fireclaw.LogLevel) for level, _ in lines))

    def host_engine(self) -> str:
        return os.environ.get("FIRECLAW_TEST_ENGINE", "auto")


class Images(unittest.TestCase):
    def test_an_image_is_built_from_a_folder_and_from_a_tar_used_and_removed(self) -> None:
        host, name, steps = open_host(), f"python-{os.getpid()}", set[str]()

        def use(root: fireclaw.RootSource, replace: bool = False) -> str:
            config = fireclaw.ImageConfig(name, root, fireclaw.KernelOfImage("busybox"), replace=replace)
            options = fireclaw.BuildOptions(progress=lambda progress: steps.add(progress.step))
            built = host.images().build(config, options)
            self.assertEqual(host.images().info(name), built)
            with host.vms().run(fireclaw.VMConfig(image=name)) as vm:
                return vm.exec("read word < /word; echo $word").text

        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "root"
            (root / "bin").mkdir(parents=True)
            shutil.copy("/bin/busybox", root / "bin/sh")
            (root / "word").write_text("folder\n")
            self.addCleanup(host.images().remove, name)
            self.assertEqual(use(fireclaw.DirectoryRoot(root)), "folder\n")
            self.assertTrue(steps)
            with self.assertRaises(fireclaw.AlreadyExistsError):
                use(fireclaw.DirectoryRoot(root))
            (root / "word").write_text("tar\n")
            with tarfile.open(Path(folder) / "root.tar.gz", "w:gz") as tar:
                tar.add(root, arcname=".")
            self.assertEqual(use(fireclaw.TarRoot(Path(folder) / "root.tar.gz"), replace=True), "tar\n")

    def test_a_build_that_is_told_to_stop_leaves_no_image(self) -> None:
        host, stop = open_host(), fireclaw.StopSource()
        before = host.images().list()
        config = fireclaw.ImageConfig("never", kernel=fireclaw.KernelOfImage("busybox"))
        options = fireclaw.BuildOptions(progress=lambda progress: stop.request_stop(), stop=stop)
        with self.assertRaises(fireclaw.CancelledError):
            host.images().build(config, options)
        self.assertEqual(host.images().list(), before)


if __name__ == "__main__":
    unittest.main()
