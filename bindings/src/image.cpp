#include "waits.hpp"

namespace fireclaw::python {

void bind_image(py::module_& module) {
  py::class_<Images>(
      module, "Images",
      "Host.images(): kernels, each with an initramfs and a read-only root file system that machines share.")
      .def(
          "build", waits(&Images::build), py::arg("config"), py::arg("options") = py::none(),
          "build($self, config, options=None)\n--\n\n"
          "Builds an image; an interrupted build leaves none. AlreadyExistsError if the name is taken and `replace` is "
          "not\n"
          "set; NotFoundError for a source that is not there; IoError with what a tool said; CancelledError.")
      .def("list", waits(&Images::list),
           "list($self)\n--\n\n"
           "All images, by name.")
      .def("info", waits(&Images::info), py::arg("name"),
           "info($self, name)\n--\n\n"
           "One of list(). NotFoundError if there is none of that name; CorruptError if it is torn.")
      .def("remove", waits(&Images::remove), py::arg("name"), py::arg("force") = false,
           "remove($self, name, force=False)\n--\n\n"
           "Removes an image and its snapshots. Machines that run from it are not disturbed. InvalidStateError if "
           "snapshots that a person has named, agents or machines with names need it, unless `force`. NotFoundError.");
}

}  // namespace fireclaw::python
