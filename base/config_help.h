/// \file
/// The text of --help.
#pragma once

#include <string>

#include "google/protobuf/descriptor.h"

namespace manyform {

/// About text (paragraphs between empty lines), usage, global options, every field of `config` with type,
/// default, range or choices and help, and the exit codes; no line has more than 100 columns unless a word
/// does.
std::string HelpText(const std::string& program, const std::string& about,
                     const google::protobuf::Descriptor& config);

}  // namespace manyform
