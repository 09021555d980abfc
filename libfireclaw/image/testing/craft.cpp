#include "image/testing/craft.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "sys/file.hpp"

namespace fireclaw::image::testing {

namespace {

template <typename T>
void append(std::string& bytes, T value) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof(T));
  poke(bytes, at, value);
}

void append_segment(std::string& bytes, std::uint32_t type, std::uint64_t offset, std::uint64_t length) {
  append<std::uint32_t>(bytes, type);
  append<std::uint32_t>(bytes, 5);
  append<std::uint64_t>(bytes, offset);
  append<std::uint64_t>(bytes, 0xffffffff81000000);
  append<std::uint64_t>(bytes, 0x1000000);
  append<std::uint64_t>(bytes, length);
  append<std::uint64_t>(bytes, length);
  append<std::uint64_t>(bytes, 0x200000);
}

void append_section(std::string& bytes, std::uint32_t name, std::uint32_t type, std::uint64_t offset,
                    std::uint64_t length) {
  append<std::uint32_t>(bytes, name);
  append<std::uint32_t>(bytes, type);
  append<std::uint64_t>(bytes, 0);
  append<std::uint64_t>(bytes, 0);
  append<std::uint64_t>(bytes, offset);
  append<std::uint64_t>(bytes, length);
  bytes.append(24, '\0');
}

}  // namespace

std::string Elf::bytes() const {
  const std::uint16_t segments = interpreter ? 2 : 1;
  const std::uint64_t data = 64 + std::uint64_t{56} * segments;
  std::string contents;
  std::string names(1, '\0');
  std::string headers;
  append_section(headers, 0, 0, 0, 0);
  for (const auto& [name, content] : sections) {
    append_section(headers, static_cast<std::uint32_t>(names.size()), 1, data + contents.size(), content.size());
    names += name + '\0';
    contents += content;
  }
  append_section(headers, static_cast<std::uint32_t>(names.size()), 3, data + contents.size(), names.size() + 10);
  names += std::string{".shstrtab\0", 10};

  std::string file{"\177ELF\2\1\1", 7};
  file.resize(16);
  append<std::uint16_t>(file, type);
  append<std::uint16_t>(file, machine);
  append<std::uint32_t>(file, 1);
  append<std::uint64_t>(file, 0x1000000);
  append<std::uint64_t>(file, 64);
  append<std::uint64_t>(file, data + contents.size() + names.size());
  append<std::uint32_t>(file, 0);
  append<std::uint16_t>(file, 64);
  append<std::uint16_t>(file, 56);
  append<std::uint16_t>(file, segments);
  append<std::uint16_t>(file, 64);
  append<std::uint16_t>(file, static_cast<std::uint16_t>(sections.size() + 2));
  append<std::uint16_t>(file, static_cast<std::uint16_t>(sections.size() + 1));
  append_segment(file, 1, data, contents.size());
  if (interpreter) append_segment(file, 3, data, 1);
  return file + contents + names + headers;
}

std::string make_module(const std::vector<std::string>& entries) {
  std::string info;
  for (const std::string& entry : entries) info += entry + '\0';
  Elf elf;
  elf.type = 1;
  elf.sections = {{".text", "code"}, {".modinfo", info}};
  return elf.bytes();
}

std::string make_vmlinux(std::string_view release, const std::vector<std::string>& names) {
  std::string data{"Linux version %s (%s)\0", 22};
  for (const std::string& name : names) data += name + '\0';
  data += "Linux version " + std::string{release} + " (builder@host) #1 SMP\n" + '\0';
  Elf elf;
  elf.sections = {{".text", std::string(64, '\x90')}, {".rodata", data}};
  return elf.bytes();
}

std::string make_bzimage(std::string_view release, std::string_view payload) {
  constexpr std::size_t code = 2048;  // boot sector + 3 sectors of setup code
  constexpr std::size_t stub = 64;    // code before the payload
  std::string file(code, '\0');
  file[0x1f1] = 3;
  poke<std::uint16_t>(file, 0x1fe, 0xaa55);
  file.replace(0x202, 4, "HdrS");
  poke<std::uint16_t>(file, 0x206, 0x020f);
  poke<std::uint16_t>(file, 0x20e, 0x400 - 0x200);
  file[0x211] = 1;
  poke<std::uint32_t>(file, 0x248, stub);
  poke<std::uint32_t>(file, 0x24c, static_cast<std::uint32_t>(payload.size()));
  const std::string text = std::string{release} + " (builder@host) #1 SMP";
  file.replace(0x400, text.size(), text);
  file.append(stub, '\x90');
  file += payload;
  file.append((16 - (file.size() - code) % 16) % 16, '\0');
  poke<std::uint32_t>(file, 0x1f4, static_cast<std::uint32_t>((file.size() - code) / 16));
  return file;
}

Tools make_tools(const std::filesystem::path& temp) {
  return Tools{{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, {}, temp, {}};
}

std::string filter(std::vector<std::string> argv, std::string_view input, const Tools& tools) {
  const auto file = memory_file(input);
  sys::ToolOptions options = tools.options();
  options.input_fd = file->get();
  return sys::check_tool(std::move(argv), options).out;
}

std::shared_ptr<const sys::Fd> memory_file(std::string_view content) {
  auto file = std::make_shared<sys::Fd>(sys::make_memfd("fireclaw-test", 0));
  sys::write_all(file->get(), content);
  sys::check(::lseek(file->get(), 0, SEEK_SET), "lseek");
  return file;
}

void put(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  const sys::Fd file = sys::open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  sys::write_all(file.get(), content);
}

void skip(std::string_view why) {
  std::cout << "skipped: " << why << std::endl;
  std::exit(77);
}

}  // namespace fireclaw::image::testing
