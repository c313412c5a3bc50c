/// \file
/// Of several processes that do one job together the first speaks and writes results; the others follow it.
#pragma once

namespace manyform {

/// From now on this process says nothing through log.h, and run_main writes no result for it.
void SetFollower(bool value);
bool IsFollower();

}  // namespace manyform
