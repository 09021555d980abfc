// The root that agents run in, with a stand-in for mmdebstrap: what it is asked for, what fireclaw adds, and what of it
// is kept for later builds.
#include "image/roots/debian_agent.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>

#include "image/archives/tar.hpp"
#include "image/kernel/initramfs.hpp"
#include "image/roots/python.hpp"
#include "image/testing/craft.hpp"
#include "image/testing/workshop.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::make_bzimage;
using image::testing::make_module;
using image::testing::put;
using image::testing::skip;
using image::testing::Workshop;

namespace {

namespace fs = std::filesystem;

/// A Debian as small as can be. Its "loader" stands in for all of its Python: it "compiles" by copying.
Tree small_debian() {
  Tree tree;
  tree.symlink("bin", "usr/bin");
  tree.file("usr/bin/sh", 0755, "shell");
  tree.file("usr/bin/python3.99", 0755, "python");
  tree.file("usr/lib/python3.99/os.py", 0644, "");
  tree.file("usr/lib/test-linux/ld-linux-test.so.2", 0755,
            "#!/bin/sh\n"
            "for folder; do :; done\n"
            "mkdir \"$folder/bot/__pycache__\"\n"
            "for file in \"$folder\"/bot/*.py; do\n"
            "  { echo compiled; cat \"$file\"; } >\"$folder/bot/__pycache__/$(basename \"$file\")c\"\n"
            "done\n");
  tree.file("etc/passwd", 0644, "root:x:0:0:root:/root:/bin/bash\n");
  tree.file("etc/group", 0644, "root:x:0:\n");
  Node shadow;
  shadow.type = NodeType::File;
  shadow.mode = 0640;
  shadow.gid = 42;
  shadow.content = std::string{"root:*:1::::::\n"};
  shadow.bytes = std::get<std::string>(shadow.content).size();
  tree.add("etc/shadow", shadow);
  tree.file("etc/hostname", 0644, "the-builder");
  return tree;
}

struct AgentStage : Workshop {
  fs::path agent = folder.path() / "agent";

  AgentStage() {
    const fs::path programs = folder.path() / "programs";
    std::string tar;
    write_tar(small_debian(), [&](std::string_view piece) { tar += piece; });
    put(folder.path() / "debian.tar", tar);
    put(programs / "mmdebstrap",
        fmt::format("#!/bin/sh\nprintf '%s\\n' \"$@\" >>{0}/asked\necho end >>{0}/asked\n"
                    "for word; do case $word in *.tar) cp {0}/debian.tar \"$word\";; esac; done\n",
                    folder.path().string()));
    fs::permissions(programs / "mmdebstrap", fs::perms{0755});
    options.search_path.insert(options.search_path.begin(), programs);
    put(agent / "bot" / "__main__.py", "print('bot')\n");
    put(agent / "bot" / "__pycache__" / "__main__.cpython-300.pyc", "of the developer's machine");
    put(agent / "root" / "etc" / "containers.conf", "[engine]\n");
    put(agent / "root" / "usr" / "lib" / "tool", "#!/bin/sh\n");
    fs::permissions(agent / "root" / "usr" / "lib" / "tool", fs::perms{0755});
    options.agent = agent;
  }
  [[nodiscard]] std::string asked() const { return sys::read_file(folder.path() / "asked"); }
  /// How often mmdebstrap ran.
  [[nodiscard]] std::size_t runs() const {
    std::size_t count = 0;
    const std::string text = asked();
    for (std::size_t at = text.find("end\n"); at != std::string::npos; at = text.find("end\n", at + 1)) ++count;
    return count;
  }
  Entry rebuild(const DebianAgent& source = {}) { return build("agents", source, true); }
  [[nodiscard]] std::vector<std::string> kept() const {
    std::vector<std::string> names;
    for (const auto& item : fs::directory_iterator{options.cache}) names.push_back(item.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
};

}  // namespace

TEST_CASE("an agent's root is Debian with the recipe's packages, a user, the bot compiled, and fireclaw's own files") {
  AgentStage stage;
  const Entry entry = stage.rebuild({"bookworm", {"ripgrep"}, ""});
  CHECK(entry.manifest.source == "debian-agent:bookworm+ripgrep");
  CHECK(entry.manifest.recipe == agent_recipe({"bookworm", {"ripgrep"}, ""}, stage.agent));
  const std::string asked = stage.asked();
  CHECK(asked.find("podman") != std::string::npos);
  CHECK(asked.find(",ripgrep\nbookworm\n") != std::string::npos);

  CHECK(stage.content(entry, "etc/passwd") ==
        "root:x:0:0:root:/root:/bin/bash\nagent:x:1000:1000:fireclaw agent:/home/agent:/bin/bash\n");
  CHECK(stage.content(entry, "etc/shadow") == "root:*:1::::::\nagent:*:1::::::\n");
  CHECK(stage.content(entry, "etc/subuid") == "agent:100000:65536\n");
  CHECK(stage.content(entry, "etc/hostname") == "fireclaw\n");
  CHECK(stage.content(entry, "usr/lib/fireclaw/agent/bot/__main__.py") == "print('bot')\n");
  CHECK(stage.content(entry, "usr/lib/fireclaw/agent/bot/__pycache__/__main__.pyc") == "compiled\nprint('bot')\n");
  CHECK(stage.content(entry, "etc/containers.conf") == "[engine]\n");
  const std::string files = stage.listing(entry);
  CHECK(files.find("-rw-r----- 0/42 ") != std::string::npos);
  CHECK(files.find("drwx------ 1000/1000 ") != std::string::npos);
  CHECK(files.find("cpython-300") == std::string::npos);
  const std::size_t tool = files.find("squashfs-root/usr/lib/tool");
  REQUIRE(tool != std::string::npos);
  CHECK(files.substr(files.rfind('\n', tool) + 1, 10) == "-rwxr-xr-x");
}

TEST_CASE("a recipe's digest changes with all that fireclaw puts in, and with nothing else") {
  AgentStage stage;
  const std::string before = agent_recipe({}, stage.agent);
  put(stage.agent / "bot" / "__pycache__" / "more.pyc", "x");
  CHECK(agent_recipe({}, stage.agent) == before);
  CHECK(agent_recipe({"trixie", {}, ""}, stage.agent) != before);
  CHECK(agent_recipe({"bookworm", {"nano"}, ""}, stage.agent) != before);
  put(stage.agent / "bot" / "more.py", "x = 1\n");
  const std::string with_more = agent_recipe({}, stage.agent);
  CHECK(with_more != before);
  fs::permissions(stage.agent / "root" / "usr" / "lib" / "tool", fs::perms{0644});
  CHECK(agent_recipe({}, stage.agent) != with_more);
}

TEST_CASE("without the agent's files there is no image, and the remedy is named") {
  AgentStage stage;
  stage.options.agent = stage.folder.path() / "nowhere";
  const auto [code, text] = error_of([&] { stage.rebuild(); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text.find("build or install fireclaw completely") != std::string::npos);
}

TEST_CASE("the module that containers take comes along, and a kernel without it is not passed over in silence") {
  AgentStage stage;
  const fs::path modules = stage.folder.path() / "6.1.0-dist";
  put(modules / "kernel/virtio_pci.ko", make_module({"depends="}));
  put(modules / "modules.builtin", "kernel/virtio_blk.ko\nkernel/squashfs.ko\nkernel/overlay.ko\n");
  put(stage.kernel, make_bzimage("6.1.0-dist", "packed"));
  const auto with = [&](const KernelSource& kernel, const RootfsSource& root, const std::string& name) {
    return stage.store.build(BuildSpec{name, kernel, root, true}, stage.options);
  };
  with(KernelFile{stage.kernel, modules}, DebianAgent{}, "agents");
  REQUIRE(stage.messages.size() == 1);
  CHECK(stage.messages[0].starts_with("kernel 6.1.0-dist has no 'tun', neither built in nor as a module"));

  stage.messages.clear();
  put(modules / "kernel/tun.ko", make_module({"depends="}));
  const Entry entry = with(KernelFile{stage.kernel, modules}, DebianAgent{}, "agents");
  CHECK(stage.messages.empty());
  const auto names = [](const Entry& image) {
    std::vector<std::string> result;
    for (const LoadedModule& module : read_initramfs_modules(sys::read_file(image.initramfs()), "initramfs").modules) {
      result.push_back(module.name);
    }
    return result;
  };
  CHECK(names(entry) == std::vector<std::string>{"virtio_pci", "tun"});
  // Others do not pay for it, and so are not a source of it.
  const Entry plain = with(KernelFile{stage.kernel, modules}, Tar{stage.folder.path() / "debian.tar"}, "plain");
  CHECK(names(plain) == std::vector<std::string>{"virtio_pci"});
  CHECK(stage.messages.empty());
  with(KernelOf{"plain"}, DebianAgent{}, "agents");
  REQUIRE(stage.messages.size() == 1);
  CHECK(stage.messages[0].starts_with("image 'plain' came without the kernel module 'tun'"));
  stage.messages.clear();
  with(KernelFile{stage.kernel, modules}, DebianAgent{}, "agents");
  with(KernelOf{"agents"}, DebianAgent{}, "more");
  CHECK(stage.messages.empty());
}

TEST_CASE("a Debian root is kept where the user said, for a week, and then made again") {
  AgentStage stage;
  stage.options.cache = stage.folder.path() / "cache";
  stage.rebuild();
  REQUIRE(stage.kept().size() == 1);
  // A new bot costs no new Debian.
  put(stage.agent / "bot" / "more.py", "x = 1\n");
  put(stage.agent / "bot" / "room" / "inside.py", "y = 2\n");
  const Entry second = stage.rebuild();
  CHECK(stage.runs() == 1);
  CHECK(stage.content(second, "usr/lib/fireclaw/agent/bot/more.py") == "x = 1\n");
  CHECK(stage.content(second, "usr/lib/fireclaw/agent/bot/room/inside.py") == "y = 2\n");
  // Other packages are another root.
  stage.rebuild({"bookworm", {"nano"}, ""});
  CHECK(stage.runs() == 2);
  const auto both = stage.kept();
  REQUIRE(both.size() == 2);

  const auto age = [&](const std::string& name, std::chrono::hours hours) {
    fs::last_write_time(stage.options.cache / name, fs::file_time_type::clock::now() - hours);
  };
  for (const std::string& name : both) age(name, std::chrono::hours{24 * 7 - 1});
  stage.rebuild();
  CHECK(stage.runs() == 2);
  // What a killed build left is as old, and goes with them.
  fs::create_directories(stage.options.cache / ".debian-root-abc" / "inside");
  age(".debian-root-abc", std::chrono::hours{24 * 7 + 1});
  for (const std::string& name : both) age(name, std::chrono::hours{24 * 7 + 1});
  stage.rebuild();
  CHECK(stage.runs() == 3);
  CHECK(stage.kept().size() == 1);
}

TEST_CASE("in the store's own folder for downloads no Debian root is kept") {
  AgentStage stage;
  stage.rebuild();
  stage.rebuild();
  CHECK(stage.runs() == 2);
  for (const auto& item : fs::directory_iterator{stage.root / ".cache"}) {
    CHECK(item.path().filename().string().find("debian-root") == std::string::npos);
  }
}

namespace {

/// This machine's own Python as a root file system would have it.
Tree host_python() {
  Tree tree;
  const fs::path library = fs::canonical("/usr/bin/python3").filename().string();
  const auto add = [&](const fs::path& file) {
    Node node;
    node.type = NodeType::File;
    node.bytes = fs::file_size(file);
    node.content = HostFile{fs::canonical(file)};
    tree.add(file.string(), std::move(node));
  };
  add("/usr/bin" / library);
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator{"/usr/lib" / library}) {
    if (entry.is_regular_file() && entry.path().extension() == ".py") add(entry.path());
  }
  for (const fs::directory_entry& folder : fs::directory_iterator{"/usr/lib"}) {
    if (!fs::exists(folder.path() / "libc.so.6")) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator{folder.path()}) {
      const std::string name = entry.path().filename().string();
      for (const char* wanted : {"ld-linux", "libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1"}) {
        if (name.rfind(wanted, 0) == 0 && !entry.is_directory() && !tree.find(entry.path().string())) add(entry.path());
      }
    }
  }
  return tree;
}

}  // namespace

TEST_CASE("a tree's Python files are compiled by the Python in the tree, never to be compared with their sources") {
  if (!fs::exists("/usr/bin/python3") || fs::canonical("/usr/bin/python3").parent_path() != "/usr/bin") {
    skip("this machine has no Python of its own");
  }
  Workshop shop;
  const Tools tools = image::testing::make_tools(shop.folder.path());
  Tree tree = host_python();
  tree.file("usr/lib/thing/deep/part.py", 0644, "x = 1\n");
  compile_python(tree, "usr/lib/thing", tools);
  std::string compiled;
  for (const auto& [path, node] : tree.nodes()) {
    if (path.rfind("usr/lib/thing/deep/__pycache__/part.cpython-3", 0) == 0) compiled = read_content(*node, path);
  }
  REQUIRE(compiled.size() > 16);
  CHECK(compiled.substr(4, 4) == std::string{"\1\0\0\0", 4});
  // Tracebacks name the place in the image.
  CHECK(compiled.find("/usr/lib/thing/deep/part.py") != std::string::npos);
  CHECK(compiled.find(shop.folder.path().string()) == std::string::npos);

  tree.file("usr/lib/broken/part.py", 0644, "x = = 1\n");
  const auto [code, text] = error_of([&] { compile_python(tree, "usr/lib/broken", tools); });
  CHECK(code == ErrorCode::Io);
  Tree empty;
  CHECK(error_of([&] { compile_python(empty, "usr/lib/thing", tools); }).first == ErrorCode::InvalidArgument);
}
