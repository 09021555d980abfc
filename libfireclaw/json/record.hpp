#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "json/json.hpp"
#include "sys/process.hpp"

/// Records on disk: each struct says once what its members are called there, in a function beside it that both what
/// writes and what reads is shown to:
///
///     void describe(auto& field, json::Is<Pear> auto& pear) {
///       field.schema(1);
///       field("name", pear.name);              // is always there; std::optional: where it has a value
///       field.later("weight", pear.weight);    // files of earlier versions have none: the struct's default then
///       field.rare("rotten", pear.rotten, false);  // is written when it is not the usual value
///     }
///
/// Times and durations are whole milliseconds. Numbers too large for a member, and whatever is of the wrong type, are
/// Error(Corrupt) that names the member.
namespace fireclaw::json {

/// A T, whether it can be changed or not.
template <class Record, class T>
concept Is = std::is_same_v<std::remove_const_t<Record>, T>;

void describe(auto& field, Is<sys::ProcessId> auto& process) {
  field("pid", process.pid);
  field("start_time", process.start_time);
}

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;

template <class T>
void write_record(Writer& out, const T& record);
template <class T>
void read_record(const Value& value, T& record);

class RecordWriter {
 public:
  explicit RecordWriter(Writer& out) : out_{out} {}

  void schema(unsigned number) { out_.field("schema", number); }
  template <class T>
  void operator()(std::string_view name, const T& value) {
    if constexpr (is_optional<T>) {
      if (value) (*this)(name, *value);
    } else {
      write(out_.key(name), value);
    }
  }
  template <class T>
  void later(std::string_view name, const T& value) {
    (*this)(name, value);
  }
  template <class T>
  void later(std::string_view name, const T& value, const T& /*missing*/) {
    (*this)(name, value);
  }
  template <class T>
  void rare(std::string_view name, const T& value, const T& usual) {
    if (value != usual) (*this)(name, value);
  }
  /// One of the enumerators in `all`, by its to_string(); `problem` is for any other text.
  template <class T, class All>
  void choice(std::string_view name, const T& value, const All& /*all*/, const char* /*problem*/) {
    out_.field(name, to_string(value));
  }
  template <class T, class All>
  void rare_choice(std::string_view name, const T& value, const T& usual, const All& all, const char* problem) {
    if (value != usual) choice(name, value, all, problem);
  }

 private:
  template <class T>
  static void write(Writer& out, const T& value) {
    if constexpr (is_list<T>) {
      out.begin_array();
      for (const auto& item : value) write(out, item);
      out.end_array();
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      out.value(std::string_view{value.native()});
    } else if constexpr (std::is_same_v<T, std::chrono::system_clock::time_point>) {
      out.value(milliseconds(value.time_since_epoch()));
    } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
      out.value(milliseconds(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      out.value(std::string_view{value});
    } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, Value>) {
      out.value(value);
    } else if constexpr (std::is_integral_v<T>) {
      out.value(static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(value));
    } else {
      write_record(out, value);
    }
  }
  static std::int64_t milliseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  }

  Writer& out_;
};

class RecordReader {
 public:
  explicit RecordReader(const Value& value) : value_{value} {}

  /// Error(Corrupt) unless the record has the schema that this version reads.
  void schema(unsigned number) {
    const auto found = take("schema").at("schema");
    if (found.as_uint() != number) {
      found.fail(fmt::format("this fireclaw reads schema {}, the file has {}", number, found.as_uint()));
    }
  }
  template <class T>
  void operator()(std::string_view name, T& value) {
    if constexpr (is_optional<T>) {
      if (const auto found = take(name).find(name)) read(*found, value.emplace());
    } else {
      read(take(name).at(name), value);
    }
  }
  template <class T>
  void later(std::string_view name, T& value) {
    if (const auto found = take(name).find(name)) read(*found, value);
  }
  template <class T>
  void later(std::string_view name, T& value, const T& missing) {
    value = missing;
    later(name, value);
  }
  template <class T>
  void rare(std::string_view name, T& value, const T& /*usual*/) {
    later(name, value);
  }
  template <class T, class All>
  void choice(std::string_view name, T& value, const All& all, const char* problem) {
    choose(take(name).at(name), value, all, problem);
  }
  template <class T, class All>
  void rare_choice(std::string_view name, T& value, const T& /*usual*/, const All& all, const char* problem) {
    if (const auto found = take(name).find(name)) choose(*found, value, all, problem);
  }
  /// Error(Corrupt) naming the first key that is none of those that were asked for.
  void refuse_others() const {
    for (const auto& [key, member] : value_.as_object()) {
      if (std::ranges::find(known_, key) == known_.end()) {
        value_.fail(fmt::format("unknown key {}", Writer{}.value(std::string_view{key}).take()));
      }
    }
  }

 private:
  const Value& take(std::string_view name) {
    known_.push_back(name);
    return value_;
  }
  template <class T, class All>
  static void choose(const Value& from, T& value, const All& all, const char* problem) {
    for (const T one : all) {
      if (to_string(one) == from.as_string()) {
        value = one;
        return;
      }
    }
    from.fail(problem);
  }
  template <class T>
  static void read(const Value& from, T& value) {
    if constexpr (is_list<T>) {
      for (const auto& item : from.as_array()) read(item, value.emplace_back());
    } else if constexpr (std::is_same_v<T, std::filesystem::path> || std::is_same_v<T, std::string>) {
      value = from.as_string();
    } else if constexpr (std::is_same_v<T, std::chrono::system_clock::time_point>) {
      value = T{std::chrono::milliseconds{from.as_int()}};
    } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
      value = T{from.as_int()};
    } else if constexpr (std::is_same_v<T, bool>) {
      value = from.as_bool();
    } else if constexpr (std::is_same_v<T, Value>) {
      value = from;
    } else if constexpr (std::is_integral_v<T>) {
      const auto number = [&] {
        if constexpr (std::is_signed_v<T>) return from.as_int();
        if constexpr (std::is_unsigned_v<T>) return from.as_uint();
      }();
      if (!std::in_range<T>(number)) from.fail(fmt::format("must be at most {}", std::numeric_limits<T>::max()));
      value = static_cast<T>(number);
    } else {
      read_record(from, value);
    }
  }

  const Value& value_;
  std::vector<std::string_view> known_;
};

/// The record as a JSON object.
template <class T>
void write_record(Writer& out, const T& record) {
  out.begin_object();
  RecordWriter writer{out};
  describe(writer, record);
  out.end_object();
}

/// The text of a file that holds the record.
template <class T>
std::string record_text(const T& record) {
  Writer out{Writer::Style::Pretty};
  write_record(out, record);
  return out.take();
}

/// Reads what write_record() wrote, or an earlier version of it. Other keys are passed over.
template <class T>
void read_record(const Value& value, T& record) {
  RecordReader reader{value};
  describe(reader, record);
}

template <class T>
T read_record(const Value& value) {
  T record;
  read_record(value, record);
  return record;
}

/// The same, and Error(Corrupt) for keys that are not members: for files that people write in.
template <class T>
T read_whole_record(const Value& value) {
  T record;
  RecordReader reader{value};
  describe(reader, record);
  reader.refuse_others();
  return record;
}

}  // namespace fireclaw::json
