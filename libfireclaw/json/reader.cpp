#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <variant>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "sys/file.hpp"

namespace fireclaw::json {
namespace {

constexpr std::size_t deepest_nesting = 128;

// "line 3, column 7", both counted from one, columns in characters.
std::string describe_position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::string_view line = before.substr(before.rfind('\n') + 1);  // npos + 1 is the text's start
  const auto starts_character = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };
  return fmt::format("line {}, column {}", lines + 1, std::count_if(line.begin(), line.end(), starts_character) + 1);
}

std::string describe(simdjson::error_code error) {
  if (error == simdjson::EMPTY) return "it is empty";
  if (error == simdjson::DEPTH_ERROR) return fmt::format("it is nested more than {} deep", deepest_nesting);
  // What begins like a value of some type, and is none.
  if (error == simdjson::INCORRECT_TYPE) return "this is not a value";
  return simdjson::error_message(error);
}

bool is_plain_key(std::string_view key) {
  const auto is_plain = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  return !key.empty() && std::all_of(key.begin(), key.end(), is_plain);
}

// A name from a document, fit for one line of an error message.
std::string in_quotes(std::string_view text) { return Writer{}.value(text).take(); }

}  // namespace

// How a container is reached. Apart from the nodes, so that a value keeps its path alive but not its siblings.
struct Value::Path {
  std::shared_ptr<const Path> parent;
  std::string key;  // the document's name if there is no parent
  std::optional<std::size_t> index;

  void append_to(std::string& text) const {
    if (!parent) {
      text += key;
      return;
    }
    parent->append_to(text);
    append_step(text, parent->parent == nullptr, key, index);
  }

  static void append_step(std::string& text, bool first, std::string_view key, std::optional<std::size_t> index) {
    if (first) text += ": ";
    if (index) {
      text += fmt::format("[{}]", *index);
    } else if (is_plain_key(key)) {
      if (!first) text += '.';
      text += key;
    } else {
      text += fmt::format("[{}]", in_quotes(key));
    }
  }
};

struct Value::Node {
  using Array = std::vector<Value>;
  using Object = std::map<std::string, Value, std::less<>>;

  std::shared_ptr<const Path> parent;  // the document itself for the outermost value
  std::string key;
  std::optional<std::size_t> index;
  bool outermost = false;
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data;
};

struct Builder {
  using Path = Value::Path;
  using Node = Value::Node;

  Builder(std::string_view text, std::string_view name)
      : text_{text}, document_{std::make_shared<const Path>(Path{nullptr, std::string{name}, std::nullopt})} {}

  Value build() {
    if (const auto error = parser_.iterate(text_).get(json_); error != simdjson::SUCCESS) refuse(error, {});
    const bool scalar = need(json_.is_scalar());
    if (scalar && need(json_.raw_json_token()).end() != std::string_view{text_}.end()) {
      refuse(simdjson::TRAILING_CONTENT);
    }
    auto node = std::make_shared<Node>();
    node->parent = document_;
    node->outermost = true;
    fill(*node, json_, 0);
    const char* rest = nullptr;
    if (!scalar && json_.current_location().get(rest) == simdjson::SUCCESS) refuse(simdjson::TRAILING_CONTENT);
    return Value{std::move(node)};
  }

 private:
  [[noreturn]] void refuse(simdjson::error_code error, std::string_view where) {
    throw Error{ErrorCode::Corrupt, fmt::format("{}: not valid JSON: {}{}", document_->key, where, describe(error))};
  }
  // Where the reading has stopped. At the text's end that is not told, and of what ends too early it is the beginning.
  [[noreturn]] void refuse(simdjson::error_code error) {
    const char* at = nullptr;
    if (error == simdjson::INCOMPLETE_ARRAY_OR_OBJECT || json_.current_location().get(at) != simdjson::SUCCESS) {
      refuse(error, {});
    }
    refuse(error, describe_position(text_, static_cast<std::size_t>(at - text_.data())) + ": ");
  }

  template <class T>
  T need(simdjson::simdjson_result<T> result) {
    if (result.error() != simdjson::SUCCESS) refuse(result.error());
    return std::move(result).value_unsafe();
  }

  Value child(simdjson::ondemand::value json, const std::shared_ptr<const Path>& parent, std::string_view key,
              std::optional<std::size_t> index, std::size_t depth) {
    auto node = std::make_shared<Node>();
    node->parent = parent;
    node->key = key;
    node->index = index;
    fill(*node, json, depth);
    return Value{std::move(node)};
  }

  // `json` is the document or a value in it: they are read alike.
  template <class Json>
  void fill(Node& node, Json& json, std::size_t depth) {
    using simdjson::ondemand::json_type;
    switch (need(simdjson::simdjson_result<json_type>{json.type()})) {
      case json_type::null:
        if (!need(simdjson::simdjson_result<bool>{json.is_null()})) refuse(simdjson::INCORRECT_TYPE);
        return;
      case json_type::boolean: node.data = need(json.get_bool()); return;
      case json_type::number: fill_number(node, json); return;
      case json_type::string: node.data = std::string{need(json.get_string())}; return;
      case json_type::array: {
        const auto path = path_of(node, depth);
        Node::Array array;
        for (auto item : need(json.get_array())) {
          array.push_back(child(need(std::move(item)), path, {}, array.size(), depth + 1));
        }
        node.data = std::move(array);
        return;
      }
      case json_type::object: {
        const auto path = path_of(node, depth);
        Node::Object object;
        for (auto member : need(json.get_object())) {
          auto field = need(std::move(member));
          std::string key{need(field.unescaped_key())};
          if (object.contains(key)) {
            std::string where;
            path->append_to(where);
            throw Error{ErrorCode::Corrupt, fmt::format("{}: duplicate key {}", where, in_quotes(key))};
          }
          auto value = child(field.value(), path, key, std::nullopt, depth + 1);
          object.emplace(std::move(key), std::move(value));
        }
        node.data = std::move(object);
        return;
      }
    }
  }

  template <class Json>
  void fill_number(Node& node, Json& json) {
    std::int64_t integer = 0;
    std::uint64_t large = 0;
    const auto token = need(simdjson::simdjson_result<std::string_view>{json.raw_json_token()});
    if (json.get_int64().get(integer) == simdjson::SUCCESS) {
      node.data = integer;
    } else if (json.get_uint64().get(large) == simdjson::SUCCESS) {
      node.data = large;
    } else if (token.find_first_of(".eE") == std::string_view::npos) {
      node.data = need(json.get_double());  // beyond 64 bits
    } else {
      // get_double() of simdjson 3.0 makes another number of a fraction of more than 19 digits. Its other parser does
      // not.
      node.data = need(numbers_.parse(token.data(), token.size()).get_double());
    }
  }

  std::shared_ptr<const Path> path_of(const Node& node, std::size_t depth) {
    if (depth == deepest_nesting) refuse(simdjson::DEPTH_ERROR, {});
    if (node.outermost) return node.parent;
    return std::make_shared<const Path>(Path{node.parent, node.key, node.index});
  }

  simdjson::padded_string text_;
  std::shared_ptr<const Path> document_;
  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document json_;
  simdjson::dom::parser numbers_;
};

Value Value::parse(std::string_view text, std::string_view name) { return Builder{text, name}.build(); }

std::map<std::string, std::string> pick_strings(std::string_view text, std::string_view name,
                                                const std::function<bool(std::string_view)>& wanted) {
  const auto need = [&]<class T>(simdjson::simdjson_result<T> result) {
    if (result.error() == simdjson::SUCCESS) return std::move(result).value_unsafe();
    throw Error{ErrorCode::Corrupt, fmt::format("{}: not valid JSON: {}", name, describe(result.error()))};
  };
  const simdjson::padded_string padded{text};
  simdjson::ondemand::parser parser;
  auto document = need(parser.iterate(padded));
  std::map<std::string, std::string> picked;
  for (auto member : need(document.get_object())) {
    auto field = need(std::move(member));
    const std::string_view key = need(field.unescaped_key());
    if (!wanted(key)) continue;
    std::string kept{key};
    const auto problem = [&](std::string_view what) {
      return Error{ErrorCode::Corrupt, fmt::format("{}: {} {}", name, what, in_quotes(kept))};
    };
    std::string_view string;
    if (field.value().get_string().get(string) != simdjson::SUCCESS) throw problem("expected a string as");
    if (picked.contains(kept)) throw problem("duplicate key");
    picked.emplace(std::move(kept), string);
  }
  const char* rest = nullptr;
  if (document.current_location().get(rest) == simdjson::SUCCESS)
    need(simdjson::simdjson_result<bool>{simdjson::TRAILING_CONTENT});
  return picked;
}

Value Value::parse_file(const std::filesystem::path& path) { return parse(sys::read_file(path), path.string()); }

Value::Type Value::type() const {
  struct {
    Type operator()(std::monostate) const { return Type::Null; }
    Type operator()(bool) const { return Type::Bool; }
    Type operator()(std::int64_t) const { return Type::Number; }
    Type operator()(std::uint64_t) const { return Type::Number; }
    Type operator()(double) const { return Type::Number; }
    Type operator()(const std::string&) const { return Type::String; }
    Type operator()(const Node::Array&) const { return Type::Array; }
    Type operator()(const Node::Object&) const { return Type::Object; }
  } constexpr visitor;
  return std::visit(visitor, node_->data);
}

bool Value::as_bool() const {
  if (const auto* flag = std::get_if<bool>(&node_->data)) return *flag;
  fail("expected true or false");
}

bool Value::operator==(const Value& other) const { return node_->data == other.node_->data; }

bool Value::is_integer() const {
  return std::holds_alternative<std::int64_t>(node_->data) || std::holds_alternative<std::uint64_t>(node_->data);
}

std::int64_t Value::as_int() const {
  if (const auto* number = std::get_if<std::int64_t>(&node_->data)) return *number;
  if (type() == Type::Number) fail("expected an integer of at most 64 bits");
  fail("expected an integer");
}

std::uint64_t Value::as_uint() const {
  if (const auto* number = std::get_if<std::uint64_t>(&node_->data)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&node_->data); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  if (type() == Type::Number) fail("expected an integer from 0 to 2^64 - 1");
  fail("expected an integer");
}

double Value::as_double() const {
  if (const auto* number = std::get_if<double>(&node_->data)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&node_->data)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&node_->data)) return static_cast<double>(*number);
  fail("expected a number");
}

const std::string& Value::as_string() const {
  if (const auto* text = std::get_if<std::string>(&node_->data)) return *text;
  fail("expected a string");
}

const std::vector<Value>& Value::as_array() const {
  if (const auto* array = std::get_if<Node::Array>(&node_->data)) return *array;
  fail("expected an array");
}

const std::map<std::string, Value, std::less<>>& Value::as_object() const {
  if (const auto* object = std::get_if<Node::Object>(&node_->data)) return *object;
  fail("expected an object");
}

Value Value::at(std::string_view key) const {
  const auto& members = as_object();
  const auto found = members.find(key);
  if (found == members.end()) fail(fmt::format("missing key {}", in_quotes(key)));
  return found->second;
}

std::optional<Value> Value::find(std::string_view key) const {
  const auto& members = as_object();
  const auto found = members.find(key);
  if (found == members.end() || found->second.is_null()) return std::nullopt;
  return found->second;
}

void Value::only(std::initializer_list<std::string_view> allowed) const {
  for (const auto& [key, member] : as_object()) {
    if (std::find(allowed.begin(), allowed.end(), key) == allowed.end()) {
      fail(fmt::format("unknown key {}", in_quotes(key)));
    }
  }
}

std::string Value::where() const {
  std::string text;
  node_->parent->append_to(text);
  if (!node_->outermost) Path::append_step(text, node_->parent->parent == nullptr, node_->key, node_->index);
  return text;
}

void Value::fail(std::string_view problem) const {
  throw Error{ErrorCode::Corrupt, fmt::format("{}: {}", where(), problem)};
}

}  // namespace fireclaw::json
