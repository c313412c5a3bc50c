/// \file
/// Who made a result: program, commit, effective config, inputs, host, time and memory.
#pragma once

#include <string>
#include <string_view>

#include "google/protobuf/message.h"
#include "proto/provenance.pb.h"

namespace manyform {

/// The commit this program was built from ("+changes" if files differed); "unknown" in tests.
std::string_view BuildCommit();

/// SHA-256 of the effective config (defaults filled in) without fields marked (not_in_fingerprint): threads,
/// output paths, and what else cannot change the product.
std::string ConfigFingerprint(const google::protobuf::Message& config);
/// Sets every unset field that declares a default, in the messages that are there too. A field without one
/// stays unset, which may mean something.
void FillDefaults(google::protobuf::Message* config);
/// Notes an input (a manifest, a checkpoint) read by this process: it is listed in the provenance.
void NoteInput(std::string_view path, std::string_view fingerprint);
/// Notes a seed under a name.
void NoteSeed(std::string_view name, uint64_t seed);
/// Everything known now; wall and CPU time since the start of the process.
Provenance CollectProvenance(std::string_view program, const google::protobuf::Message& config);

}  // namespace manyform
