#include "image/store/store.hpp"

#include <doctest/doctest.h>

#include "image/testing/craft.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;
using image::testing::put;

namespace {

struct Shelf {
  sys::TempDir folder = image::testing::temp_dir();
  std::vector<std::string> messages;
  Store store{folder.path() / "images",
              Logger{[this](LogLevel, std::string_view message) { messages.emplace_back(message); }}};
  std::filesystem::path root = folder.path() / "images";

  /// An image whose files are made up; returns its digest.
  std::string add(const std::string& name, const std::string& version = {}) {
    const auto file = [&](const char* what) {
      const auto text = name + version + what;
      put(root / name / what, text);
      return FileInfo{sys::sha256_hex(text), text.size()};
    };
    Manifest manifest;
    manifest.name = name;
    manifest.kernel_file = file("kernel");
    manifest.initramfs = file("initramfs");
    manifest.rootfs = file("rootfs");
    manifest.kernel = {KernelFormat::BzImage, VirtioBus::Pci, "6.1.0", manifest.kernel_file.sha256, "test"};
    manifest.rootfs_type = "squashfs";
    manifest.digest = combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs);
    put(root / name / "manifest.json", to_json(manifest));
    return manifest.digest;
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const Entry& entry : store.list()) result.push_back(entry.manifest.name);
    return result;
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("names that could lead elsewhere, or be mistaken, are refused") {
  for (const char* good : {"a", "Z9", "debian-12", "a.b_c-d", "0"}) check_name(good);
  check_name(std::string(64, 'n'));
  for (const std::string& bad :
       {std::string{}, std::string{"."}, std::string{".."}, std::string{"../x"}, std::string{"a/b"},
        std::string{".hidden"}, std::string{"-v"}, std::string{"a b"}, std::string{"a@b"}, std::string{"gr\xc3\xbcn"},
        std::string{"a\0b", 3}, std::string(65, 'n'), std::string(300, 'n')}) {
    const auto [code, text] = error_of([&] { check_name(bad); });
    CHECK(code == ErrorCode::InvalidArgument);
    CHECK(text.size() < 300);
  }
}

TEST_CASE("images are listed by name; what is the store's own is not among them") {
  Shelf shelf;
  shelf.add("zeta");
  shelf.add("alpha");
  put(shelf.root / ".build-beta@x1/kernel", "half");
  put(shelf.root / ".cache/some.deb", "deb");
  put(shelf.root / "stray-file", "");
  CHECK(shelf.names() == Names{"alpha", "zeta"});
  CHECK(shelf.messages.empty());
}

TEST_CASE("a broken image is left out of the list with a message, and opening it says what is wrong") {
  Shelf shelf;
  shelf.add("good");
  shelf.add("short");
  put(shelf.root / "short/rootfs", "x");
  shelf.add("torn");
  put(shelf.root / "torn/manifest.json", R"({"schema": 1, "na)");
  shelf.add("moved");
  std::filesystem::rename(shelf.root / "moved", shelf.root / "renamed");
  shelf.add("gone");
  std::filesystem::remove(shelf.root / "gone/initramfs");
  std::filesystem::create_directories(shelf.root / "empty");
  CHECK(shelf.names() == Names{"good"});
  CHECK(shelf.messages.size() == 5);

  const auto problem = [&](const std::string& name) { return error_of([&] { (void)shelf.store.open(name); }); };
  CHECK(problem("short").second.find("rootfs' has 1 bytes, its manifest says 11") != std::string::npos);
  CHECK(problem("torn").second.find("torn/manifest.json") != std::string::npos);
  CHECK(problem("renamed").second.find("is the manifest of image 'moved', not of 'renamed'") != std::string::npos);
  CHECK(problem("gone").second.find("gone/initramfs' is missing") != std::string::npos);
  for (const char* name : {"short", "torn", "renamed", "gone"}) CHECK(problem(name).first == ErrorCode::Corrupt);
}

TEST_CASE("an image that is not there is not found, with the remedy") {
  Shelf shelf;
  CHECK_FALSE(shelf.store.find("none"));
  const auto [code, text] = error_of([&] { (void)shelf.store.open("none"); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text.find("no image named 'none'") == 0);
  CHECK(text.find("fireclaw image build") != std::string::npos);
  CHECK(error_of([&] { shelf.store.remove("none"); }).first == ErrorCode::NotFound);
  CHECK(error_of([&] { (void)shelf.store.open("../x"); }).first == ErrorCode::InvalidArgument);
  CHECK(error_of([&] { shelf.store.remove(".cache"); }).first == ErrorCode::InvalidArgument);
}

TEST_CASE("verify finds a byte that changed, which opening does not") {
  Shelf shelf;
  shelf.add("one");
  const Entry entry = shelf.store.open("one");
  shelf.store.verify(entry);
  for (const auto& file : {entry.kernel(), entry.initramfs(), entry.rootfs()}) {
    const auto whole = sys::read_file(file);
    auto changed = whole;
    changed.back() ^= 1;
    put(file, changed);
    const Entry same_size = shelf.store.open("one");
    const auto [code, text] = error_of([&] { shelf.store.verify(same_size); });
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find(file.native() + "' is damaged") != std::string::npos);
    put(file, whole);
  }
}

TEST_CASE("a build is found by its digest, also after another one took its name") {
  Shelf shelf;
  const auto first = shelf.add("one");
  const auto kept = shelf.root / kept_folder / first;
  std::filesystem::create_directories(kept.parent_path());
  std::filesystem::rename(shelf.root / "one", kept);
  const auto second = shelf.add("one", "2");
  REQUIRE(first != second);
  const auto folder_of = [&](const std::string& digest) {
    const auto found = shelf.store.find_build("one", digest);
    return found ? found->directory : std::filesystem::path{};
  };
  CHECK(folder_of(first) == kept);
  CHECK(folder_of(second) == shelf.root / "one");
  CHECK(folder_of(std::string(64, 'd')).empty());
  CHECK(folder_of({}).empty());
}

TEST_CASE("removing takes an image away whole, and what is open stays readable") {
  Shelf shelf;
  shelf.add("one");
  const sys::Fd open = sys::open_file(shelf.store.open("one").rootfs(), 0);
  shelf.store.remove("one");
  CHECK(shelf.names().empty());
  CHECK_FALSE(std::filesystem::exists(shelf.root / "one"));
  CHECK(sys::read_file("/proc/self/fd/" + std::to_string(open.get())) == "onerootfs");
}

TEST_CASE("garbage is what interrupted builds and removals left, and nothing else") {
  Shelf shelf;
  shelf.add("one");
  put(shelf.root / ".build-one@x1/work/half", "");
  put(shelf.root / ".trash-two@x2/two/kernel", "");
  put(shelf.root / ".build-live@x3/kernel", "");
  put(shelf.root / ".cache/some.deb", "deb");
  put(shelf.root / ".unknown/file", "");
  std::filesystem::create_directories(shelf.root / ".locks");
  auto held = sys::FileLock::try_acquire(shelf.root / ".locks" / "live", sys::FileLock::Mode::Exclusive);
  REQUIRE(held);
  auto removed = shelf.store.collect_garbage();
  std::sort(removed.begin(), removed.end());
  CHECK(removed == std::vector<std::filesystem::path>{shelf.root / ".build-one@x1", shelf.root / ".trash-two@x2"});
  CHECK(shelf.names() == Names{"one"});
  CHECK(std::filesystem::exists(shelf.root / ".build-live@x3/kernel"));
  CHECK(std::filesystem::exists(shelf.root / ".cache/some.deb"));
  CHECK(std::filesystem::exists(shelf.root / ".unknown/file"));
  held.reset();
  CHECK(shelf.store.collect_garbage().size() == 1);
  CHECK(shelf.store.collect_garbage().empty());
}
