#include "bindings.hpp"
#include "structs.hpp"

namespace fireclaw::python {

void bind_image(py::module_& module) {
  py::class_<Image>(module, "Image", "Kernel, initramfs and a read-only root file system that machines share.")
      .def_static(
          "build",
          [](const Host& host, ImageConfig config) {
            return blocking(config.stop, [&](std::stop_token stop) {
              config.stop = std::move(stop);
              return Image::build(host, config);
            });
          },
          py::arg("host"), py::arg("config"),
          "Builds an image. AlreadyExistsError if the name is taken and `replace` is not set; an interrupted build\n"
          "leaves no image.")
      .def_static(
          "list", [](const Host& host) { return blocking([&] { return Image::list(host); }); }, py::arg("host"),
          "All images, by name.")
      .def_static(
          "info",
          [](const Host& host, const std::string& name) { return blocking([&] { return Image::info(host, name); }); },
          py::arg("host"), py::arg("name"), "NotFoundError if there is none of that name; CorruptError if it is torn.")
      .def_static(
          "remove", [](const Host& host, const std::string& name) { blocking([&] { Image::remove(host, name); }); },
          py::arg("host"), py::arg("name"),
          "Removes an image and its snapshots. Machines that run from it are not disturbed. NotFoundError.");
}

}  // namespace fireclaw::python
