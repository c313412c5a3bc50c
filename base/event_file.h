/// \file
/// TensorBoard's event files: numbers over steps, in records that carry their checksums.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace manyform {

using EventScalars = std::vector<std::pair<std::string, double>>;

/// The newest events.out.tfevents file of a folder. It is made with the first number, so that a run that adds
/// none leaves none; its name sorts after those that are there, since TensorBoard reads them in that order.
class EventFileWriter {
 public:
  /// `first_step`: older files' events of this and later steps are void; TensorBoard then shows the new ones
  /// alone.
  EventFileWriter(std::string folder, int64_t first_step)
      : folder_(std::move(folder)), first_step_(first_step) {}

  /// One event; it reaches the file whole, in one write. \error as errno says, with the path.
  absl::Status Add(int64_t step, const EventScalars& scalars);

 private:
  absl::Status Begin();
  absl::Status Append(std::string_view bytes) const;
  const std::string folder_;
  const int64_t first_step_;
  std::string path_;  // empty before the first event
};

/// `bytes` as a record: their length and its checksum, the bytes and theirs.
std::string EventRecord(std::string_view bytes);

}  // namespace manyform
