"""Uses all of the package as its users would; mypy --strict accepts it, and nothing runs it."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Optional

import fireclaw


def log(level: fireclaw.LogLevel, message: str) -> None:
    print(level.value, message)


def progress(step: fireclaw.Progress) -> None:
    print(step.step, step.done, step.total, step.finished)


def hosts() -> fireclaw.Host:
    host = fireclaw.Host.open(fireclaw.HostOptions(home=Path("/srv/fireclaw"), engine="qemu-tcg", log=log))
    report: fireclaw.SetupReport = host.setup(fireclaw.SetupOptions(agents=True, progress=progress))
    seen: list[fireclaw.EngineVerdict] = report.engines + host.engines() + host.probe(report.image)
    print([verdict.boot_time + 1.0 for verdict in seen], [check.remedy for check in host.doctor()])
    print(host.home / "config.json", host.is_set_up, host.collect_garbage().ended)
    return host


def images(host: fireclaw.Host) -> datetime:
    kernel: fireclaw.KernelSource = fireclaw.KernelUrl(url="https://example.org/vmlinux", sha256="0" * 64)
    roots: list[fireclaw.RootSource] = [
        fireclaw.BusyboxRoot(), fireclaw.DebianRoot(packages=["git"]), fireclaw.DebianAgentRoot(),
        fireclaw.DirectoryRoot("/srv/root"), fireclaw.TarRoot(Path("root.tar")), fireclaw.OciRoot("oci:folder:tag"),
    ]
    for number, root in enumerate(roots):
        host.images().build(fireclaw.ImageConfig(f"image-{number}", root, kernel, replace=True))
    host.images().remove(host.images().list()[0].name)
    return host.images().info("busybox").created


def machines(host: fireclaw.Host, stop: fireclaw.StopSource) -> Optional[str]:
    config = fireclaw.VMConfig(
        memory_mib=256, network=fireclaw.NetworkMode.NAT, nat=fireclaw.NatOptions(egress=fireclaw.Egress.ALLOWLIST),
        start=fireclaw.StartMode.COLD)
    with host.vms().run(config, fireclaw.StartOptions(timedelta(minutes=1), stop)) as vm:
        vm.wait_ready(30)
        options = fireclaw.ExecOptions.shell("make")
        options.timeout = timedelta(seconds=3)
        result: fireclaw.ExecResult = vm.exec(options, env={"A": "B"})
        with vm.stream(["ls", "-l"], window_size=fireclaw.WindowSize(30, 100), tty=True) as stream:
            for name, data in stream:
                print(name.upper(), data.decode())
            stream.resize(fireclaw.WindowSize())
        process: fireclaw.Process = vm.spawn("sleep 10", on_stdout=print)
        process.send_signal(signal.SIGTERM)
        print(process.wait().signal, vm.copy_in(Path("a"), "/a", stop=stop).files, vm.copy_out("/a", "b").bytes)
        vm.files.write("/etc/motd", "hello", mode=0o644)
        size: int = vm.files.stat("/etc/motd").size
        print(size, [info.name for info in vm.files.list("/etc", limit=3)], vm.files.read("/etc/motd").decode())
        vm.start_service(fireclaw.ServiceOptions("web", ["httpd", "-f"], restart=fireclaw.RestartPolicy.ALWAYS))
        vm.signal_service("web", signal.SIGHUP)
        vm.stop_service("web", grace=0.5)
        print([service.uptime for service in vm.services() if service.state == fireclaw.ServiceState.STOPPED])
        vm.pause()
        vm.resume()
        snapshot: fireclaw.Snapshot = vm.snapshot("made")
        snapshot.restore().stop(grace=1)
        print(vm.console_log(), vm.info().state is fireclaw.VMState.RUNNING, snapshot.info.bytes)
    host.vms().attach(host.vms().list()[0].id).kill()
    print(host.images().info("busybox").bytes, host.network().best_mode().mode, host.agents().open("a").status().online)
    return result.text if result.ok else None


def disks(host: fireclaw.Host) -> bytes:
    workspace = host.workspaces().create(fireclaw.WorkspaceConfig("notes", size_mib=32))
    workspace.write_file("a/b", "text", mode=0o600)
    with open("notes.tar", "wb") as tar:
        workspace.export_tar(tar)
        workspace.export_raw_tar(tar)
    workspace.resize(64)
    print(workspace.check().report, workspace.info().used_bytes, workspace.push("a", "/").files)
    return workspace.read_file(Path("a/b"))


def agents(host: fireclaw.Host) -> None:
    manager = host.agents()
    ada: fireclaw.Agent = manager.start(fireclaw.AgentConfig("worker", "ada"), fireclaw.AgentStartOptions(join_timeout=5))
    info: fireclaw.AgentInfo = ada.start_info()
    print(info.phases, ada.reload(fireclaw.AgentSettings(model="phi4-mini")).model)
    watch: fireclaw.AgentWatch = manager.open(ada.name).watch()
    print(watch.fileno(), watch.ended(), watch.wait(timedelta(seconds=1)))
    print(ada.exec("ls").text, ada.logs(5), ada.status().online)
    print(ada.ssh().wait().exit_code, manager.templates()[0].file, manager.reconcile().orphans)
    bea: fireclaw.Agent = ada.fork(fireclaw.ForkConfig("bea", fireclaw.AgentSettings(model="phi4-mini")))
    saved: fireclaw.SnapshotInfo = bea.snapshot("good", replace=True)
    manager.start(fireclaw.AgentConfig(name="cleo", snapshot=saved.name))
    ada.stop(timedelta(seconds=1))


async def tasks(vm: fireclaw.VM) -> int:
    result = await asyncio.wait_for(fireclaw.to_thread(vm.exec, "make"), timeout=60)
    return result.exit_code


def failures(host: fireclaw.Host) -> tuple[str, ...]:
    try:
        fireclaw.run("uname", host=host, network="none", timeout=1)
    except fireclaw.NotFoundError as error:
        return error.context
    except fireclaw.FireclawError as error:
        return (error.code.value, error.message)
    return ()


def wrong(host: fireclaw.Host) -> None:
    # What is wrong is found: without these comments mypy complains.
    fireclaw.run(1, host=host)  # type: ignore[arg-type]
    fireclaw.VMConfig(memory="much")  # type: ignore[call-arg]
    host.no_such_member()  # type: ignore[attr-defined]
