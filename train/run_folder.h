/// \file
/// The folder of a run: config.textproto, record.binpb, log.jsonl, event files, status.textproto, lock and
/// checkpoints.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/event_file.h"
#include "base/json_lines.h"
#include "google/protobuf/message.h"
#include "proto/train.pb.h"

namespace manyform {

/// One run at a time: the lock is held while the object lives.
class RunFolder {
 public:
  /// Makes the folder if need be and locks it. A lock that a dead process of this host left is taken over.
  /// Unless it `writes`, as for a process that follows the run's first one, it knows the names and does
  /// nothing.
  /// \error FailedPrecondition naming host and process if a live one, or one of another host, holds it.
  static absl::StatusOr<std::unique_ptr<RunFolder>> Open(const std::string& path, bool writes = true);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  bool writes() const { return lock_ >= 0; }
  std::string last() const;
  std::string best() const;
  /// ckpt_ep%03d; epochs count from 0, as published.
  std::string epoch_checkpoint(int64_t epoch) const;

  absl::Status RemoveLast() const;
  /// Removes all ckpt_ep files but those of the `count` latest epochs.
  absl::Status KeepLastCheckpoints(int64_t count) const;

  /// The effective config, defaults filled in.
  absl::Status WriteConfig(const google::protobuf::Message& config) const;
  absl::Status WriteRecord(const google::protobuf::Message& result) const;

  /// Drops rows whose `step` is larger: what a killed run logged after its last checkpoint.
  absl::Status TruncateLog(int64_t step) const;
  /// From now on rows go to an event file for TensorBoard too, under the same keys; events of older files
  /// after `step` are void.
  void StartEvents(int64_t step);
  absl::Status AppendLog(const JsonRow& row);
  /// To the event file alone, if there is one.
  absl::Status AppendEvent(int64_t step, const EventScalars& scalars);

  /// Writes status.textproto with host and process filled in. While `state` is "running", at most every two
  /// seconds.
  absl::Status WriteStatus(RunStatus status);
  /// The end of a run: record.binpb if `outcome` is OK, and the state "done" or "failed" with its message.
  /// \returns `outcome`, or what kept an OK one from being written.
  absl::Status Conclude(RunStatus status, const absl::Status& outcome,
                        const google::protobuf::Message& result);

 private:
  RunFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  const std::string path_;
  const int lock_;  // -1: only follows
  std::optional<EventFileWriter> events_;
  std::chrono::steady_clock::time_point status_written_;
};

}  // namespace manyform
