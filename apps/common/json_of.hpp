#pragma once

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "common/text/quantities.hpp"
#include "fireclaw/fields.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw::cli {

/// Keys stay in the order they are written in.
using Json = nlohmann::ordered_json;

template <class T>
concept Described = requires {
  Fields<T>::name;
};

/// A public struct as JSON: an object with its members under their names. Durations are whole milliseconds, under a
/// name that ends in "_ms"; times are as iso_time() has them; enums are their texts. Phases, which only a start has,
/// are left out: see timings().
template <Described T>
Json to_json(const T& object);
template <Described T>
Json to_json(const std::vector<T>& objects);

/// {"spawn": 1.5, ...} in milliseconds.
inline Json timings(const std::vector<Phase>& phases) {
  Json out = Json::object();
  for (const auto& phase : phases) out[phase.name] = to_ms(phase.duration);
  return out;
}

class JsonMembers {
 public:
  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (std::is_same_v<T, std::vector<Phase>>) {
      return;
    } else if constexpr (std::is_same_v<T, std::chrono::milliseconds>) {
      out_[std::string{name} + "_ms"] = value.count();
    } else if constexpr (std::is_same_v<T, std::chrono::nanoseconds>) {
      out_[std::string{name} + "_ms"] = to_ms(value);
    } else {
      // The member is called so because `template` is a word of C++.
      out_[std::string_view{name} == "template_name" ? "template" : name] = one(value);
    }
  }
  Json take() { return std::move(out_); }

 private:
  template <class T>
  static Json one(const T& value) {
    if constexpr (Described<T>) {
      return to_json(value);
    } else if constexpr (requires { Enumerators<T>::name; }) {
      for (const auto& [enumerator, text] : Enumerators<T>::values) {
        if (enumerator == value) return std::string{text};
      }
      return nullptr;
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      return value.native();
    } else if constexpr (std::is_same_v<T, std::chrono::system_clock::time_point>) {
      return iso_time(value);
    } else {
      return value;
    }
  }
  template <class T>
  static Json one(const std::vector<T>& values) {
    Json list = Json::array();
    for (const auto& value : values) list.push_back(one(value));
    return list;
  }

  Json out_ = Json::object();
};

template <Described T>
Json to_json(const T& object) {
  JsonMembers members;
  Fields<T>::visit(members, object);
  return members.take();
}

template <Described T>
Json to_json(const std::vector<T>& objects) {
  Json list = Json::array();
  for (const auto& object : objects) list.push_back(to_json(object));
  return list;
}

}  // namespace fireclaw::cli
