/// \file
/// From caches to batches: all of it in one include.
#pragma once

#include "data/batch_loader.h"   // IWYU pragma: export
#include "data/mix_config.h"     // IWYU pragma: export
#include "data/mixture.h"        // IWYU pragma: export
#include "data/shape_list.h"     // IWYU pragma: export
#include "data/token_dataset.h"  // IWYU pragma: export
