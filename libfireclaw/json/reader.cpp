#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <variant>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "json/syntax.hpp"
#include "sys/file.hpp"

namespace fireclaw::json {
namespace {

constexpr std::size_t deepest_nesting = 128;

// An integer too large for simdjson, as "1e0", is a double that it accepts. Only called for documents that it has
// refused because of a number, and the result is judged again, so this need not know the grammar well: it appends "e0"
// to every run of 19 or more digits outside of strings that is not part of a fraction or exponent.
std::string widen_long_integers(std::string_view text) {
  constexpr std::size_t digits_in_64_bits = 19;
  std::string widened;
  widened.reserve(text.size() + 16);
  const auto is_digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
  const auto belongs_to_double = [&](std::size_t at) {
    return at < text.size() && (text[at] == '.' || text[at] == 'e' || text[at] == 'E' || text[at] == '+');
  };
  std::size_t at = 0;
  bool in_string = false;
  while (at < text.size()) {
    if (in_string && text[at] == '\\') {
      widened += text.substr(at, 2);
      at += 2;
      continue;
    }
    if (in_string || !is_digit(at)) {
      if (text[at] == '"') in_string = !in_string;
      widened += text[at++];
      continue;
    }
    const std::size_t begin = at;
    while (is_digit(at)) ++at;
    widened += text.substr(begin, at - begin);
    const bool after_mark =
        begin > 0 && (belongs_to_double(begin - 1) ||
                      (text[begin - 1] == '-' && begin > 1 && (text[begin - 2] == 'e' || text[begin - 2] == 'E')));
    if (at - begin >= digits_in_64_bits && !after_mark && !belongs_to_double(at)) widened += "e0";
  }
  return widened;
}

// simdjson says what kind of thing is wrong; where and what is for the syntax check to find.
std::string describe(simdjson::error_code error, std::string_view text) {
  if (error == simdjson::EMPTY) return "it is empty";
  if (error == simdjson::DEPTH_ERROR) return fmt::format("it is nested more than {} deep", deepest_nesting);
  if (const auto found = find_syntax_error(text)) {
    return fmt::format("{}: {}", describe_position(text, found->offset), found->problem);
  }
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

  static Value outermost(simdjson::dom::element element, std::string_view name) {
    auto node = std::make_shared<Node>();
    node->parent = std::make_shared<const Path>(Path{nullptr, std::string{name}, std::nullopt});
    node->outermost = true;
    fill(*node, element);
    return Value{std::move(node)};
  }

 private:
  static Value child(simdjson::dom::element element, const std::shared_ptr<const Path>& parent, std::string_view key,
                     std::optional<std::size_t> index) {
    auto node = std::make_shared<Node>();
    node->parent = parent;
    node->key = key;
    node->index = index;
    fill(*node, element);
    return Value{std::move(node)};
  }

  static std::shared_ptr<const Path> path_of(const Node& node) {
    if (node.outermost) return node.parent;
    return std::make_shared<const Path>(Path{node.parent, node.key, node.index});
  }

  static void fill(Node& node, simdjson::dom::element element) {
    using simdjson::dom::element_type;
    switch (element.type()) {
      case element_type::NULL_VALUE: return;
      case element_type::BOOL: node.data = bool{element}; return;
      case element_type::INT64: node.data = std::int64_t{element}; return;
      case element_type::UINT64: node.data = std::uint64_t{element}; return;
      case element_type::DOUBLE: node.data = double{element}; return;
      case element_type::STRING: node.data = std::string{std::string_view{element}}; return;
      case element_type::ARRAY: {
        const auto path = path_of(node);
        Node::Array array;
        for (const simdjson::dom::element item : simdjson::dom::array{element}) {
          array.push_back(child(item, path, {}, array.size()));
        }
        node.data = std::move(array);
        return;
      }
      case element_type::OBJECT: {
        const auto path = path_of(node);
        Node::Object object;
        for (const auto& [key, item] : simdjson::dom::object{element}) {
          const bool added = object.try_emplace(std::string{key}, child(item, path, key, std::nullopt)).second;
          if (!added) {
            std::string where;
            path->append_to(where);
            throw Error{ErrorCode::Corrupt, fmt::format("{}: duplicate key {}", where, in_quotes(key))};
          }
        }
        node.data = std::move(object);
        return;
      }
    }
  }
};

Value Value::parse(std::string_view text, std::string_view name) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const auto read = [&](std::string_view json) -> simdjson::error_code {
    if (json.empty()) return simdjson::EMPTY;
    if (const auto error = parser.allocate(json.size(), deepest_nesting); error != simdjson::SUCCESS) return error;
    return parser.parse(json.data(), json.size()).get(root);
  };
  simdjson::error_code error = read(text);
  if (error == simdjson::NUMBER_ERROR) error = read(widen_long_integers(text));
  if (error != simdjson::SUCCESS) {
    throw Error{ErrorCode::Corrupt, fmt::format("{}: not valid JSON: {}", name, describe(error, text))};
  }
  return Builder::outermost(root, name);
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
