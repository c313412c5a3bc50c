#include "base/follower.h"

#include <atomic>

namespace manyform {
namespace {

std::atomic<bool> follower = false;

}  // namespace

void SetFollower(bool value) { follower = value; }
bool IsFollower() { return follower; }

}  // namespace manyform
