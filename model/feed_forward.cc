#include "model/feed_forward.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

namespace manyform {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class FeedForwardFunction : public torch::autograd::Function<FeedForwardFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& w1,
                            const at::Tensor& b1, const at::Tensor& w2, const at::Tensor& b2) {
    const at::Tensor inner = at::linear(x, w1, b1);
    context->save_for_backward({x, inner, w1, w2});
    return at::linear(at::gelu(inner), w2, b2);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor x = saved[0].flatten(0, -2), inner = saved[1].flatten(0, -2);
    const at::Tensor &w1 = saved[2], &w2 = saved[3];
    const at::Tensor dy = gradients[0].flatten(0, -2);
    const at::Tensor dw2 = dy.t().mm(at::gelu(inner));
    const at::Tensor dinner = at::gelu_backward(dy.mm(w2), inner);
    return {dinner.mm(w1).view_as(saved[0]), dinner.t().mm(x), dinner.sum(0), dw2, dy.sum(0)};
  }
};

}  // namespace

at::Tensor FeedForward(const at::Tensor& x, const at::Tensor& w1, const at::Tensor& b1, const at::Tensor& w2,
                       const at::Tensor& b2) {
  if (at::GradMode::is_enabled()) {
    // Autocast does not reach the backward pass of a function of one's own, so that it gets what is cast.
    const c10::DeviceType device = x.device().type();
    const bool casts = at::autocast::is_autocast_enabled(device);
    const at::ScalarType type = casts ? at::autocast::get_autocast_dtype(device) : x.scalar_type();
    return FeedForwardFunction::apply(x.to(type), w1.to(type), b1.to(type), w2.to(type), b2.to(type));
  }
  return at::linear(at::gelu(at::linear(x, w1, b1)), w2, b2);
}

}  // namespace manyform
