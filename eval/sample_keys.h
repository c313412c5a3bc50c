/// \file
/// How a measurement samples its sequences, as settings of its record.
#pragma once

#include "data/backends.h"
#include "data/tokens.h"
#include "eval/record.h"

namespace manyform {

/// The published keys of what decides a sequence's content, all of the protocol; options of what is not in
/// use (voxels, gradients, augmentation) are left out. The layout is the checkpoint's: see AddLayoutKeys.
void AddSampleKeys(const TokenOptions& tokens, const BackendOptions& backend, RecordBuilder* builder);

}  // namespace manyform
