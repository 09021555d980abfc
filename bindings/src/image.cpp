#include "waits.hpp"

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
          "build(host, config)\n--\n\n"
          "Builds an image; an interrupted build leaves none. AlreadyExistsError if the name is taken and `replace` is "
          "not\n"
          "set; NotFoundError for a source that is not there; IoError with what a tool said; CancelledError.")
      .def_static("list", waits(&Image::list), py::arg("host"),
                  "list(host)\n--\n\n"
                  "All images, by name.")
      .def_static("info", waits(&Image::info), py::arg("host"), py::arg("name"),
                  "info(host, name)\n--\n\n"
                  "One of list(). NotFoundError if there is none of that name; CorruptError if it is torn.")
      .def_static(
          "remove", waits(&Image::remove), py::arg("host"), py::arg("name"), py::arg("force") = false,
          "remove(host, name, force=False)\n--\n\n"
          "Removes an image and its snapshots. Machines that run from it are not disturbed. InvalidStateError if "
          "snapshots that a person has named, agents or machines with names need it, unless `force`. NotFoundError.");
}

}  // namespace fireclaw::python
