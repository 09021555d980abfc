#include "waits.hpp"

namespace fireclaw::python {

void bind_image(py::module_& module) {
  py::class_<Images> type{
      module, "Images",
      "Host.images(): kernels, each with an initramfs and a read-only root file system that machines share."};
  define(type, methods::Images::build(), waits(&Images::build));
  define(type, methods::Images::list(), waits(&Images::list));
  define(type, methods::Images::info(), waits(&Images::info));
  define(type, methods::Images::remove(), waits(&Images::remove));
}

}  // namespace fireclaw::python
