/// \file
/// Which scans a cache is built from: HDF5 files by split, or single clouds by folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/mesh_list.h"

namespace manyform {

/// Whether a file is of a split by the published rule: its name, or its folder's, in lower case, contains
/// "train" (or "test"). "contest" and "restrained" do, and a file can be of both.
bool IsOfScanSplit(std::string_view path, bool test);

/// All `*.h5` below root, at any depth, links followed, that are of the split; root prefixed as typed, sorted
/// bytewise. Names that start with a dot are passed over, and, with a log line, those in `.H5`. \error
/// NotFound if root is no folder.
absl::StatusOr<std::vector<std::string>> FindScanFiles(const std::string& root, bool test);

/// "training_objectdataset" of "a/training_objectdataset.h5".
std::string FileStem(std::string_view path);

/// Files of the same stem would become the same shapes. \error InvalidArgument naming them.
absl::Status CheckStemsDiffer(const std::vector<std::string>& files);

/// Point clouds (see point_reader.h) at <root>/{train,test}/<class>/<id>.* or, if root has neither folder, at
/// <root>/<class>/<id>.*, divided as DivideTrainTest does. Sorted by path; other files are passed over.
/// \error NotFound if there are none; InvalidArgument if two would become the same shape.
absl::StatusOr<std::vector<MeshSource>> FindPointClouds(const std::string& root, double test_ratio,
                                                        int64_t split_seed);

/// Line i is the folder of label i; blanks around it and empty lines at the end are dropped.
/// \error InvalidArgument, with the line, for a name that is empty, repeated, or no name for a folder.
absl::StatusOr<std::vector<std::string>> ReadClassNames(const std::string& path);

}  // namespace manyform
