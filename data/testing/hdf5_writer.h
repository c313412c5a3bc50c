/// \file
/// HDF5 files of every kind, good and bad, as tests make them.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace manyform {

/// How a dataset is kept.
struct Hdf5Storage {
  std::vector<hsize_t> chunk;  ///< empty: contiguous
  int deflate = 0;             ///< level; 0: none
  std::string external;        ///< a file that holds the values
};

/// A file in memory; what goes wrong shows in what is read back.
class Hdf5Writer {
 public:
  Hdf5Writer() {
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 16, /*backing_store=*/false);
    file_ = H5Fcreate("test.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
  }
  ~Hdf5Writer() { H5Fclose(file_); }
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// `values` in native memory of type `memory`; null leaves the dataset without content.
  void Add(const std::string& name, hid_t stored, hid_t memory, const std::vector<hsize_t>& shape,
           const void* values, const Hdf5Storage& storage) {
    const hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    if (!storage.chunk.empty()) {
      H5Pset_chunk(plan, static_cast<int>(storage.chunk.size()), storage.chunk.data());
    }
    if (storage.deflate > 0) H5Pset_deflate(plan, storage.deflate);
    if (!storage.external.empty()) H5Pset_external(plan, storage.external.c_str(), 0, H5F_UNLIMITED);
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t set = H5Dcreate2(file_, name.c_str(), stored, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    if (values != nullptr) H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(plan);
  }
  void AddFloats(const std::string& name, const std::vector<hsize_t>& shape, const std::vector<float>& values,
                 const Hdf5Storage& storage = {}) {
    Add(name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, shape, values.data(), storage);
  }
  void AddInts(const std::string& name, const std::vector<hsize_t>& shape,
               const std::vector<int64_t>& values) {
    Add(name, H5T_STD_I64LE, H5T_NATIVE_INT64, shape, values.data(), {});
  }
  hid_t file() const { return file_; }

  std::vector<uint8_t> Bytes() const {
    H5Fflush(file_, H5F_SCOPE_GLOBAL);
    const ssize_t size = H5Fget_file_image(file_, nullptr, 0);
    std::vector<uint8_t> bytes(size < 0 ? 0 : size);
    H5Fget_file_image(file_, bytes.data(), bytes.size());
    return bytes;
  }

 private:
  hid_t file_;
};

/// `data` (n,m,3) of values 0, 1, 2 ... and `label` 0 ... n-1.
inline std::vector<uint8_t> CountingHdf5(hsize_t n, hsize_t m, const Hdf5Storage& storage = {}) {
  Hdf5Writer writer;
  std::vector<float> values(n * m * 3);
  std::iota(values.begin(), values.end(), 0.f);
  std::vector<int64_t> labels(n);
  std::iota(labels.begin(), labels.end(), 0);
  writer.AddFloats("data", {n, m, 3}, values, storage);
  writer.AddInts("label", {n}, labels);
  return writer.Bytes();
}

}  // namespace manyform
