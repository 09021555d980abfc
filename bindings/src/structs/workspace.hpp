#pragma once

#include <fireclaw/workspace.hpp>

#include "convert.hpp"

/// Workspaces.
namespace fireclaw::python {

template <>
struct Fields<WorkspaceConfig> {
  static constexpr const char* name = "WorkspaceConfig";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("size_mib", of.size_mib);
    field("uid", of.uid);
    field("gid", of.gid);
  }
};

template <>
struct Fields<WorkspaceInfo> {
  static constexpr const char* name = "WorkspaceInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("name", of.name);
    field("size_bytes", of.size_bytes);
    field("used_bytes", of.used_bytes);
    field("disk_bytes", of.disk_bytes);
    field("created", of.created);
    field("uid", of.uid);
    field("gid", of.gid);
    field("in_use", of.in_use);
    field("vm", of.vm);
    field("clean", of.clean);
    field("problem", of.problem);
  }
};

template <>
struct Fields<WorkspaceCheck> {
  static constexpr const char* name = "WorkspaceCheck";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("repaired", of.repaired);
    field("report", of.report);
  }
};

}  // namespace fireclaw::python
