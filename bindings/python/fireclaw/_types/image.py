"""What image.hpp of C++ describes; written by cmake/describe.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Optional, Sequence, Union

from .common import ProgressCallback, StrPath

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = ["BusyboxRoot", "DebianAgentRoot", "DebianRoot", "DirectoryRoot", "DistributionKernel", "ImageConfig", "ImageInfo", "KernelFile", "KernelOfImage", "KernelSource", "KernelUrl", "OciRoot", "Progress", "RootSource", "TarRoot"]


@dataclass
class Progress:
    """How far a long step is. `total` is 0 where it is not known; the unit (bytes, items) is the step's own."""

    #: What is being done, e.g. "download"; valid during the call only.
    step: str
    #: How much of `total` is done.
    done: int
    #: How much there is to do; 0: not known.
    total: int
    #: The step has ended; the last call for it.
    finished: bool


@dataclass
class DistributionKernel:
    """Debian's cloud kernel, through apt's own download (needs no root, only up-to-date package lists)."""



@dataclass
class KernelFile:
    """A vmlinux or bzImage file. `modules`: the /lib/modules/RELEASE folder that belongs to it, if it needs modules."""

    #: The kernel.
    path: Optional[StrPath] = None
    #: None: it needs none.
    modules: Optional[StrPath] = None


@dataclass
class KernelUrl:
    """A kernel to download; `sha256` (64 hexadecimal digits) is required."""

    #: http or https.
    url: str = ""
    #: What the file must have, as 64 hexadecimal digits.
    sha256: str = ""


@dataclass
class KernelOfImage:
    """The kernel of an image that exists."""

    #: That image's name.
    image: str = ""


#: Where an image's kernel comes from.
KernelSource = Union[DistributionKernel, KernelFile, KernelUrl, KernelOfImage]


@dataclass
class BusyboxRoot:
    """The small built-in root file system: a static busybox from the host."""



@dataclass
class DebianRoot:
    """Debian through mmdebstrap; no root needed."""

    #: Which Debian.
    suite: str = "bookworm"
    #: Packages to add.
    packages: Sequence[str] = field(default_factory=list)
    #: Empty: the host's own sources.
    mirror: str = ""


@dataclass
class DebianAgentRoot:
    """Debian with what agents need: Python 3, the usual tools of a shell, git, rootless podman, the user "agent" (uid
    and gid 1000, home /home/agent), and the bot in /usr/lib/fireclaw/agent. No root needed.
    """

    #: Which Debian.
    suite: str = "bookworm"
    #: Beside the recipe's own.
    packages: Sequence[str] = field(default_factory=list)
    #: Empty: the host's own sources.
    mirror: str = ""


@dataclass
class DirectoryRoot:
    """A folder's content."""

    #: The folder.
    path: Optional[StrPath] = None


@dataclass
class TarRoot:
    """A tar file, plain or compressed."""

    #: The file.
    path: Optional[StrPath] = None


@dataclass
class OciRoot:
    """An OCI image as skopeo names it: "oci:DIR:TAG", "oci-archive:FILE", "docker://registry/name:tag"."""

    #: As skopeo takes it.
    reference: str = ""


#: Where an image's file system comes from.
RootSource = Union[BusyboxRoot, DebianRoot, DebianAgentRoot, DirectoryRoot, TarRoot, OciRoot]


@dataclass
class ImageConfig:
    """What image to build, and from what."""

    #: 1–64 of a-z A-Z 0-9 . _ -, starting with a letter or digit.
    name: str = ""
    #: What its file system is made from.
    root: RootSource = field(default_factory=BusyboxRoot)
    #: What its kernel is.
    kernel: KernelSource = field(default_factory=DistributionKernel)
    #: Replace an image of that name; machines that run from the old one keep it.
    replace: bool = False
    #: Called as the build goes on; None: not at all.
    progress: Optional[ProgressCallback] = None
    #: Triggered, it ends the build: Error(Cancelled), and there is no image.
    stop: Optional[StopSource] = None


@dataclass
class ImageInfo:
    """What is known of an image."""

    #: What it is called.
    name: str
    #: "busybox", "debian:bookworm", "oci:...", ...
    source: str
    #: As `uname -r` says it.
    kernel_release: str
    #: Where the kernel is from: a package with its version, a file, a URL.
    kernel_source: str
    #: "squashfs", "erofs"
    rootfs_type: str
    #: SHA-256 over kernel, initramfs and root file system.
    digest: str
    #: What an OCI image runs unless told otherwise: its entrypoint and the arguments for it. Empty for other images.
    command: list[str]
    #: All its files together.
    bytes: int
    #: When it was built.
    created: datetime
