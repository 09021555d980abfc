#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fireclaw/fields.hpp>

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "blocking.hpp"

/// How values go between C++ and Python. Structs are dataclasses of fireclaw._types there, enums are enums of it;
/// which fields and values they have is what fields.hpp, made from the public headers, says. Durations are seconds
/// (float; timedelta is taken too), times are datetimes in UTC.
namespace fireclaw::python {

/// Something of fireclaw._types.
py::object type_named(const char* name);

/// Bytes that ought to be UTF-8, as str: what is not is replaced.
py::str text(std::string_view bytes);

/// A callable as a std::function; empty for None.
OutputCallback output_callback(const py::object& callable);
ProgressCallback progress_callback(const py::object& callable);
LogSink log_sink(const py::object& callable);

/// The ExecOptions that `command` (a shell line, a list of words, or ExecOptions) and keywords make.
ExecOptions exec_options(const py::object& command, const py::kwargs& keywords);

/// The bytes of a str (as os.fsencode() makes them, so that every file's name can be given back), or of what holds
/// bytes. Throws py::cast_error for other objects.
std::string string_of(py::handle object);

double seconds_of(py::handle value);
py::object datetime_of(std::chrono::system_clock::time_point time);
std::chrono::system_clock::time_point time_of(py::handle datetime);

/// fireclaw.StopSource. It stops when `parent` does, too.
class StopSource {
 public:
  explicit StopSource(const std::stop_token& parent) : link_{parent, Link{source_}} {}

  [[nodiscard]] std::stop_source& source() { return source_; }
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  struct Link {
    std::stop_source source;
    void operator()() noexcept { source.request_stop(); }
  };
  std::stop_source source_;
  std::stop_callback<Link> link_;
};

template <class T>
concept Struct = requires {
  Fields<T>::name;
};
template <class T>
concept Enum = requires {
  Enumerators<T>::name;
};

/// Collects an object's fields as keywords for its dataclass.
class Writer {
 public:
  template <class T>
  void operator()(const char* field, const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      keywords_[field] = text(value);
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      // No path is None: pathlib would make "." of it.
      keywords_[field] = value.empty() ? py::object{py::none()} : py::cast(value);
    } else if constexpr (std::is_same_v<T, OutputCallback> || std::is_same_v<T, ProgressCallback> ||
                         std::is_same_v<T, LogSink> || std::is_same_v<T, std::stop_token>) {
      keywords_[field] = py::none();
    } else {
      keywords_[field] = py::cast(value);
    }
  }
  void bytes(const char* field, const std::string& value) { keywords_[field] = py::bytes(value); }
  /// As os.fsdecode() does, so that every name can be given back.
  void file_name(const char* field, const std::string& value) {
    keywords_[field] = py::reinterpret_steal<py::object>(
        PyUnicode_DecodeFSDefaultAndSize(value.data(), static_cast<Py_ssize_t>(value.size())));
  }
  void environment(const char* field, const std::vector<std::pair<std::string, std::string>>& value) {
    py::dict variables;
    for (const auto& [name, content] : value) variables[text(name)] = text(content);
    keywords_[field] = variables;
  }
  void descriptor(const char* field, const std::optional<int>& value) { keywords_[field] = py::cast(value); }

  [[nodiscard]] py::object make(const char* name) const { return type_named(name)(**keywords_); }

 private:
  py::dict keywords_;
};

/// Reads an object's fields from a dataclass; TypeError names the field that is of the wrong type.
class Reader {
 public:
  Reader(py::handle object, const char* name) : object_{object}, name_{name} {}

  template <class T>
  void operator()(const char* field, T& value) {
    read(field, [&](const py::object& from) {
      if constexpr (std::is_same_v<T, OutputCallback>) {
        value = output_callback(from);
      } else if constexpr (std::is_same_v<T, ProgressCallback>) {
        value = progress_callback(from);
      } else if constexpr (std::is_same_v<T, LogSink>) {
        value = log_sink(from);
      } else if constexpr (std::is_same_v<T, std::stop_token>) {
        value = from.is_none() ? std::stop_token{} : from.cast<const StopSource&>().token();
      } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
        value = from.is_none() ? T{} : from.cast<T>();
      } else if constexpr (std::is_same_v<T, std::string>) {
        value = string_of(from);
      } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
        if (!py::isinstance<py::sequence>(from) || py::isinstance<py::str>(from)) throw py::cast_error("not a list");
        for (const auto& item : from) value.push_back(string_of(item));
      } else {
        value = from.cast<T>();
      }
    });
  }
  void bytes(const char* field, std::string& value) { (*this)(field, value); }
  void file_name(const char* field, std::string& value) { (*this)(field, value); }
  void environment(const char* field, std::vector<std::pair<std::string, std::string>>& value) {
    read(field, [&](const py::object& from) {
      for (const auto& [name, content] : py::dict{from}) {
        value.emplace_back(string_of(name), string_of(content));
      }
    });
  }
  void descriptor(const char* field, std::optional<int>& value) {
    read(field, [&](const py::object& from) {
      if (from.is_none()) return;
      value = PyObject_AsFileDescriptor(from.ptr());
      if (*value < 0) throw py::error_already_set{};
    });
  }

 private:
  template <class Action>
  void read(const char* field, Action&& action) {
    const py::object from = object_.attr(field);
    try {
      action(from);
    } catch (const py::cast_error&) {
      throw py::type_error(std::string{name_} + "." + field + " cannot be " + py::repr(from).cast<std::string>());
    }
  }

  py::handle object_;
  const char* name_;
};

template <Enum T>
T enum_from(std::string_view given) {
  std::string known;
  for (const auto& [value, name] : Enumerators<T>::values) {
    if (name == given) return value;
    known += (known.empty() ? "" : ", ") + std::string{name};
  }
  throw py::value_error("'" + std::string{given} + "' is not a value of " + Enumerators<T>::name +
                        "; there are: " + known);
}

}  // namespace fireclaw::python

namespace pybind11::detail {

template <class T>
struct type_caster<T, std::enable_if_t<fireclaw::python::Struct<T>>> {
  PYBIND11_TYPE_CASTER(T, const_name("object"));

  bool load(handle source, bool) {
    if (!isinstance(source, fireclaw::python::type_named(fireclaw::Fields<T>::name))) return false;
    fireclaw::python::Reader reader{source, fireclaw::Fields<T>::name};
    fireclaw::Fields<T>::visit(reader, value);
    return true;
  }
  static handle cast(const T& source, return_value_policy, handle) {
    fireclaw::python::Writer writer;
    fireclaw::Fields<T>::visit(writer, source);
    return writer.make(fireclaw::Fields<T>::name).release();
  }
};

/// Enums are strings in Python, so that plain ones do as well.
template <class T>
struct type_caster<T, std::enable_if_t<fireclaw::python::Enum<T>>> {
  PYBIND11_TYPE_CASTER(T, const_name("str"));

  bool load(handle source, bool) {
    if (!isinstance<str>(source)) return false;
    value = fireclaw::python::enum_from<T>(str{source.attr("__str__")()}.cast<std::string>());
    return true;
  }
  static handle cast(T source, return_value_policy, handle) {
    const auto& values = fireclaw::Enumerators<T>::values;
    const auto found =
        std::find_if(values.begin(), values.end(), [&](const auto& pair) { return pair.first == source; });
    return fireclaw::python::type_named(fireclaw::Enumerators<T>::name)(found->second).release();
  }
};

template <class Rep, class Period>
struct type_caster<std::chrono::duration<Rep, Period>> {
  using Duration = std::chrono::duration<Rep, Period>;
  PYBIND11_TYPE_CASTER(Duration, const_name("float"));

  bool load(handle source, bool) {
    if (!PyNumber_Check(source.ptr()) && !hasattr(source, "total_seconds")) return false;
    value = std::chrono::duration_cast<Duration>(std::chrono::duration<double>{fireclaw::python::seconds_of(source)});
    return true;
  }
  static handle cast(Duration source, return_value_policy, handle) {
    return PyFloat_FromDouble(std::chrono::duration<double>{source}.count());
  }
};

template <>
struct type_caster<std::chrono::system_clock::time_point> {
  PYBIND11_TYPE_CASTER(std::chrono::system_clock::time_point, const_name("datetime.datetime"));

  bool load(handle source, bool) {
    if (!hasattr(source, "timestamp")) return false;
    value = fireclaw::python::time_of(source);
    return true;
  }
  static handle cast(std::chrono::system_clock::time_point source, return_value_policy, handle) {
    return fireclaw::python::datetime_of(source).release();
  }
};

}  // namespace pybind11::detail
