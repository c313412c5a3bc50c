// What tensor sources share. Not torch/torch.h: modules, optimizers and data loaders of our own
// need tensors and operators only.
#include <ATen/ATen.h>
