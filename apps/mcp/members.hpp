#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fireclaw/fields.hpp"
#include "schema.hpp"

// Members of public structs as arguments and answers of tools: names, types, ranges and meanings are those of the
// structs' descriptions.

namespace fireclaw::mcp {

/// A visitor of Fields<T>, to which all members are alike.
template <class Each>
struct EachMember {
  Each each;

  void operator()(std::string_view name, auto& member) { each(name, member); }
  void bytes(std::string_view name, auto& member) { each(name, member); }
  void environment(std::string_view name, auto& member) { each(name, member); }
  void file_name(std::string_view name, auto& member) { each(name, member); }
  void descriptor(std::string_view name, auto& member) { each(name, member); }
};

template <class T>
void for_each_member(T& object, auto each) {
  EachMember<decltype(each)> visitor{std::move(each)};
  Fields<std::remove_const_t<T>>::visit(visitor, object);
}

/// A type as a schema, with a description's words and range; null for types that JSON does not have, such as callbacks.
template <class M>
struct Kind {
  static Json schema(const MemberDescription& of) {
    std::string meaning{of.meaning};
    if constexpr (std::same_as<M, bool>) {
      return flag_schema(std::move(meaning));
    } else if constexpr (std::integral<M>) {
      return of.least <= of.most ? whole_schema(std::move(meaning), of.least, of.most)
                                 : integer_schema(std::move(meaning));
    } else if constexpr (std::same_as<M, std::string> || std::same_as<M, std::filesystem::path>) {
      return text_schema(std::move(meaning));
    } else if constexpr (std::same_as<M, std::vector<std::string>>) {
      return list_schema(std::move(meaning), {{"type", "string"}});
    } else if constexpr (std::same_as<M, std::vector<std::pair<std::string, std::string>>>) {
      return texts_schema(std::move(meaning));
    } else if constexpr (std::same_as<M, std::chrono::milliseconds>) {
      return number_schema(std::move(meaning) + " In seconds.");
    } else if constexpr (std::same_as<M, std::chrono::system_clock::time_point>) {
      return text_schema(std::move(meaning) + " In UTC.");
    } else if constexpr (requires { Enumerators<M>::values; }) {
      auto schema = text_schema(std::move(meaning));
      for (const auto& value : Enumerators<M>::values) schema["enum"].push_back(value.second);
      return schema;
    } else {
      return nullptr;
    }
  }
  static void read(M& member, const Json& value) {
    if constexpr (std::same_as<M, std::vector<std::pair<std::string, std::string>>>) {
      for (const auto& [name, text] : value.items()) member.emplace_back(name, text.template get<std::string>());
    } else if constexpr (std::same_as<M, std::chrono::milliseconds>) {
      member = std::chrono::milliseconds{std::llround(value.get<double>() * 1000)};
    } else if constexpr (requires { Enumerators<M>::values; }) {
      member = std::ranges::find(Enumerators<M>::values, value.get<std::string>(), [](const auto& one) {
                 return std::string{one.second};
               })->first;
    } else if constexpr (std::same_as<M, std::filesystem::path>) {
      member = value.get<std::string>();
    } else if constexpr (std::integral<M> || std::same_as<M, std::string> ||
                         std::same_as<M, std::vector<std::string>>) {
      member = value.get<M>();
    }
  }
};
template <class M>
struct Kind<std::optional<M>> {
  static Json schema(const MemberDescription& of) { return Kind<M>::schema(of); }
  static void read(std::optional<M>& member, const Json& value) { Kind<M>::read(member.emplace(), value); }
};

/// The schema of one member.
template <class T>
Json schema_of(std::string_view member) {
  Json schema;
  T sample;
  for_each_member(sample, [&]<class M>(std::string_view name, M&) {
    if (name == member) schema = Kind<M>::schema(description_of<T>(name));
  });
  return schema;
}

/// The schemas of some members, for an answer that members_in() then makes of what is told.
template <class T>
Json schemas_of(std::initializer_list<std::string_view> members) {
  Json schemas = Json::object();
  for (const auto member : members) schemas[std::string{member}] = schema_of<T>(member);
  return schemas;
}

/// Members of T that clients set, as arguments of the same names; durations are "NAME_seconds".
template <class T, std::size_t N>
class Arguments {
 public:
  /// Does not compile unless each member of T is in one of the lists: what a client may set is decided by name.
  consteval Arguments(const std::string_view (&offered)[N], std::initializer_list<std::string_view> withheld) {
    std::ranges::copy(offered, offered_.begin());
    for (const auto& member : Fields<T>::members) {
      const auto times = std::ranges::count(offered_, member.name) + std::ranges::count(withheld, member.name);
      if (times != 1) throw "a member is to be offered or withheld";
    }
    if (N + withheld.size() != Fields<T>::members.size()) throw "there is no such member";
  }

  /// Whole numbers without a range have that of their type, as far as JSON's numbers reach.
  [[nodiscard]] Json schemas() const {
    Json schemas = Json::object();
    T sample{};
    for_each_member(sample, [&]<class M>(std::string_view name, M&) {
      if (!is_offered(name)) return;
      auto& schema = schemas[argument<M>(name)] = Kind<M>::schema(description_of<T>(name));
      if constexpr (std::integral<M>) {
        using Limits = std::numeric_limits<M>;
        constexpr auto exact = std::uint64_t{1} << 53;
        if (schema["type"] != "integer" || schema.contains("maximum")) return;
        schema["minimum"] = Limits::min();
        schema["maximum"] = std::min(exact, static_cast<std::uint64_t>(Limits::max()));
      }
    });
    return schemas;
  }

  /// Those that are given, which fit the schemas, into `object`.
  void read(const Json& arguments, T& object) const {
    for_each_member(object, [&]<class M>(std::string_view name, M& member) {
      if (!is_offered(name)) return;
      const auto given = arguments.find(argument<M>(name));
      if (given != arguments.end()) Kind<M>::read(member, *given);
    });
  }

 private:
  [[nodiscard]] bool is_offered(std::string_view name) const {
    return std::ranges::find(offered_, name) != offered_.end();
  }
  template <class M>
  static std::string argument(std::string_view name) {
    const bool duration =
        std::same_as<M, std::chrono::milliseconds> || std::same_as<M, std::optional<std::chrono::milliseconds>>;
    return std::string{name} + (duration ? "_seconds" : "");
  }

  std::array<std::string_view, N> offered_;
};

template <class T, std::size_t N>
consteval Arguments<T, N> arguments_of(const std::string_view (&offered)[N],
                                       std::initializer_list<std::string_view> withheld) {
  return {offered, withheld};
}

/// Adds to a schema's description, before its end: "; default: 1".
inline void add_to(Json& schema, std::string_view text) {
  auto& description = schema["description"].get_ref<std::string&>();
  description.insert(description.size() - 1, text);
}

}  // namespace fireclaw::mcp
