"""Images, and what they are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Optional, Sequence, Union

from .common import ProgressCallback, StrPath

if TYPE_CHECKING:
    from .._fireclaw import StopSource

__all__ = [
    "BusyboxRoot", "DebianAgentRoot", "DebianRoot", "DirectoryRoot", "DistributionKernel", "ImageConfig",
    "ImageInfo", "KernelFile", "KernelOfImage", "KernelSource", "KernelUrl", "OciRoot", "RootSource",
    "TarRoot",
]


@dataclass
class DistributionKernel:
    """Debian's cloud kernel, through apt's own download."""


@dataclass
class KernelFile:
    """A vmlinux or bzImage file, and the /lib/modules/<release> folder that belongs to it."""

    path: Optional[StrPath] = None
    modules: Optional[StrPath] = None


@dataclass
class KernelUrl:
    """A kernel to download; `sha256` (64 hexadecimal digits) is required."""

    url: str = ""
    sha256: str = ""


@dataclass
class KernelOfImage:
    """The kernel of an image that exists."""

    image: str = ""


KernelSource = Union[DistributionKernel, KernelFile, KernelUrl, KernelOfImage]


@dataclass
class BusyboxRoot:
    """The small built-in root file system: a static busybox from the host."""


@dataclass
class DebianRoot:
    """Debian through mmdebstrap; no root needed."""

    suite: str = "bookworm"
    packages: Sequence[str] = field(default_factory=list)
    #: Empty: the host's own sources.
    mirror: str = ""


@dataclass
class DebianAgentRoot:
    """Debian with what agents need, and `packages` beside that."""

    suite: str = "bookworm"
    packages: Sequence[str] = field(default_factory=list)
    #: Empty: the host's own sources.
    mirror: str = ""


@dataclass
class DirectoryRoot:
    """A folder's content."""

    path: Optional[StrPath] = None


@dataclass
class TarRoot:
    """A tar file, plain or compressed."""

    path: Optional[StrPath] = None


@dataclass
class OciRoot:
    """An OCI image as skopeo names it: "oci:DIR:TAG", "oci-archive:FILE", "docker://registry/name:tag"."""

    reference: str = ""


RootSource = Union[BusyboxRoot, DebianRoot, DebianAgentRoot, DirectoryRoot, TarRoot, OciRoot]


@dataclass
class ImageConfig:
    """An image to build."""

    name: str = ""
    root: RootSource = field(default_factory=BusyboxRoot)
    kernel: KernelSource = field(default_factory=DistributionKernel)
    #: Replace an image of that name; machines that run from the old one keep it.
    replace: bool = False
    progress: Optional[ProgressCallback] = None
    stop: Optional[StopSource] = None


@dataclass
class ImageInfo:
    """An image."""

    name: str
    source: str
    kernel_release: str
    kernel_source: str
    rootfs_type: str
    #: SHA-256 over kernel, initramfs and root file system.
    digest: str
    #: What an OCI image runs unless told otherwise: its entrypoint and the arguments for it; empty for other images.
    command: Sequence[str]
    bytes: int
    created: datetime
