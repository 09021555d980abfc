#pragma once

#include <fireclaw/image.hpp>

#include "convert.hpp"

/// Images, and what they are made from.
namespace fireclaw::python {

template <>
struct Fields<DistributionKernel> {
  static constexpr const char* name = "DistributionKernel";
  template <class Visitor, class Object>
  static void visit(Visitor& /*field*/, Object& /*of*/) {}
};

template <>
struct Fields<KernelFile> {
  static constexpr const char* name = "KernelFile";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("path", of.path);
    field("modules", of.modules);
  }
};

template <>
struct Fields<KernelUrl> {
  static constexpr const char* name = "KernelUrl";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("url", of.url);
    field("sha256", of.sha256);
  }
};

template <>
struct Fields<KernelOfImage> {
  static constexpr const char* name = "KernelOfImage";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("image", of.image);
  }
};

template <>
struct Fields<BusyboxRoot> {
  static constexpr const char* name = "BusyboxRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& /*field*/, Object& /*of*/) {}
};

template <>
struct Fields<DebianRoot> {
  static constexpr const char* name = "DebianRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("suite", of.suite);
    field("packages", of.packages);
    field("mirror", of.mirror);
  }
};

template <>
struct Fields<DebianAgentRoot> {
  static constexpr const char* name = "DebianAgentRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("suite", of.suite);
    field("packages", of.packages);
    field("mirror", of.mirror);
  }
};

template <>
struct Fields<DirectoryRoot> {
  static constexpr const char* name = "DirectoryRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("path", of.path);
  }
};

template <>
struct Fields<TarRoot> {
  static constexpr const char* name = "TarRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("path", of.path);
  }
};

template <>
struct Fields<OciRoot> {
  static constexpr const char* name = "OciRoot";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("reference", of.reference);
  }
};

template <>
struct Fields<ImageConfig> {
  static constexpr const char* name = "ImageConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("root", of.root);
    field("kernel", of.kernel);
    field("replace", of.replace);
    field("progress", of.progress);
    field("stop", of.stop);
  }
};

template <>
struct Fields<ImageInfo> {
  static constexpr const char* name = "ImageInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("source", of.source);
    field("kernel_release", of.kernel_release);
    field("kernel_source", of.kernel_source);
    field("rootfs_type", of.rootfs_type);
    field("command", of.command);
    field("digest", of.digest);
    field("bytes", of.bytes);
    field("created", of.created);
  }
};

}  // namespace fireclaw::python
