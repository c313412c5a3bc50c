#include "model/attention_masks.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/numpy_random.h"
#include "model/token_types.h"

namespace manyform {
namespace {

// (T): whether any sequence has a query there.
std::vector<bool> QueryPositions(const at::Tensor& type_id) {
  const at::Tensor types = type_id.cpu().contiguous();
  const int64_t batch = types.size(0), length = types.size(1);
  const int64_t* type = types.const_data_ptr<int64_t>();
  std::vector<bool> query(static_cast<size_t>(length));
  for (int64_t i = 0; i < batch * length; ++i)
    if (TokenTypes::IsQuery(type[i])) query[i % length] = true;
  return query;
}

struct Vec3 {
  float x, y, z;
};
Vec3 At(const float* token, int64_t first) { return {token[first], token[first + 1], token[first + 2]}; }
float Dot(const Vec3& a, const Vec3& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
Vec3 Along(const Vec3& o, const Vec3& d, float t) { return {o.x + t * d.x, o.y + t * d.y, o.z + t * d.z}; }

Vec3 ProjectedPlace(const Vec3& o, const Vec3& d, const std::vector<Vec3>& points) {
  Vec3 place = o;
  float nearest = std::numeric_limits<float>::infinity();
  for (const Vec3& p : points) {
    const Vec3 to = {p.x - o.x, p.y - o.y, p.z - o.z};
    const Vec3 foot = Along(o, d, Dot(to, d) / std::max(Dot(d, d), 1e-8f));
    const Vec3 off = {foot.x - p.x, foot.y - p.y, foot.z - p.z};
    if (Dot(off, off) < nearest) {
      nearest = Dot(off, off);
      place = foot;
    }
  }
  return place;
}

Vec3 BoxPlace(const Vec3& o, const Vec3& d, float half) {
  float enter = -std::numeric_limits<float>::infinity(), leave = -enter;
  for (const auto& [from, along] : {std::pair{o.x, d.x}, {o.y, d.y}, {o.z, d.z}}) {
    const float step = std::abs(along) < 1e-6f ? 1e-6f : along;
    const float a = (-half - from) / step, b = (half - from) / step;
    enter = std::max(enter, std::min(a, b));
    leave = std::min(leave, std::max(a, b));
  }
  return leave >= std::max(enter, 0.f) ? Along(o, d, enter) : o;
}

}  // namespace

at::Tensor DualMaskBlocked(const DualMask& mask, const at::Tensor& type_id) {
  const int64_t length = type_id.size(1);
  at::Tensor blocked = at::empty({length, length}, at::kBool);
  bool* out = blocked.data_ptr<bool>();
  const auto near = static_cast<float>(std::clamp(mask.near, 0.0, 1.0));
  const auto far = static_cast<float>(std::clamp(mask.far, 0.0, 1.0));
  const std::vector<bool> query = QueryPositions(type_id);
  NumpyRandomState random(mask.seed);
  for (int64_t i = 0; i < length; ++i) {
    for (int64_t j = 0; j < length; ++j, ++out) {
      // torch.rand: 24 bits of one word, drawn for every edge.
      const float u = static_cast<float>(random.Next32() & 0xffffffu) * 0x1p-24f;
      const float p = mask.window > 0 && i - j <= mask.window ? near : far;
      const bool may_go = i > j && (!mask.type_aware || (query[i] && query[j]));
      *out = j > i || (may_go && u < p);
    }
  }
  return blocked.to(type_id.device());
}

const char* RayPlaceName(RayPlace place) {
  return place == RayPlace::kOrigin ? "origin" : place == RayPlace::kProjection ? "proj" : "bbox";
}

absl::StatusOr<RayPlace> ParseRayPlace(const std::string& name) {
  for (const RayPlace place : {RayPlace::kOrigin, RayPlace::kProjection, RayPlace::kBox})
    if (name == RayPlaceName(place)) return place;
  return absl::InvalidArgumentError(
      absl::StrCat("topo_ray_coord: '", name, "', expected origin, proj or bbox"));
}

at::Tensor QueryPlaces(const Topology& topology, const at::Tensor& feat, const at::Tensor& type_id) {
  const at::Tensor features = feat.detach().cpu().contiguous(), types = type_id.cpu().contiguous();
  const int64_t batch = types.size(0), length = types.size(1), width = features.size(2);
  at::Tensor places = at::zeros({batch, length, 3}, at::kFloat);
  for (int64_t b = 0; b < batch; ++b) {
    const float* tokens = features.const_data_ptr<float>() + b * length * width;
    const int64_t* type = types.const_data_ptr<int64_t>() + b * length;
    std::vector<Vec3> points;
    for (int64_t t = 0; t < length; ++t)
      if (type[t] == TokenTypes::kQueryPoint) points.push_back(At(tokens + t * width, 0));
    for (int64_t t = 0; t < length; ++t) {
      const float* token = tokens + t * width;
      Vec3 place = {0, 0, 0};
      if (type[t] == TokenTypes::kQueryPoint) place = At(token, 0);
      if (type[t] == TokenTypes::kQueryRay) {
        const Vec3 o = At(token, 3), d = At(token, 6);
        place = topology.ray_place == RayPlace::kOrigin ? o
                : topology.ray_place == RayPlace::kProjection
                    ? ProjectedPlace(o, d, points)
                    : BoxPlace(o, d, static_cast<float>(topology.ray_box));
      }
      float* out = places.data_ptr<float>() + (b * length + t) * 3;
      out[0] = place.x;
      out[1] = place.y;
      out[2] = place.z;
    }
  }
  return places.to(feat.device());
}

at::Tensor TopologyBlocked(const Topology& topology, const at::Tensor& places) {
  const int64_t length = places.size(1);
  at::Tensor blocked = at::ones({places.size(0), length, length}, places.options().dtype(at::kBool));
  at::Tensor distance = at::cdist(places, places);
  distance.diagonal(0, 1, 2).fill_(std::numeric_limits<float>::infinity());
  const at::Tensor nearest =
      std::get<1>(at::topk(distance, std::min(topology.k, length - 1), -1, /*largest=*/false));
  blocked.scatter_(2, nearest, false);
  blocked.diagonal(0, 1, 2).fill_(false);
  if (topology.include_bos) {
    blocked.select(1, 0).fill_(false);
    blocked.select(2, 0).fill_(false);
  }
  return blocked;
}

}  // namespace manyform
