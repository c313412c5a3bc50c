// What is read fits together, and can be written.
#include <cstdint>
#include <cstdlib>

#include "eval/embedding_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto npz = manyform::NpzReader::FromBytes("fuzz.npz", {data, data + size});
  if (!npz.ok()) return 0;
  const auto shapes = manyform::EmbeddingsIn(*npz, "fuzz.npz");
  if (!shapes.ok()) return 0;
  if (static_cast<int64_t>(shapes->embedding.size()) != shapes->size() * shapes->features) abort();
  for (const int64_t label : shapes->labels)
    if (label < 0 || label >= static_cast<int64_t>(shapes->class_names.size())) abort();
  return 0;
}
