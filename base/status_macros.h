/// \file
/// Early return of absl::Status and absl::StatusOr.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define MF_CONCAT_INNER(a, b) a##b
#define MF_CONCAT(a, b) MF_CONCAT_INNER(a, b)

/// Returns the status of `expr` from the enclosing function unless it is OK.
#define MF_RETURN_IF_ERROR(expr)                                            \
  do {                                                                      \
    if (absl::Status mf_status = (expr); !mf_status.ok()) return mf_status; \
  } while (false)

/// MF_ASSIGN_OR_RETURN(auto x, F()): x is the value, or the enclosing function returns the error.
#define MF_ASSIGN_OR_RETURN(lhs, expr) MF_ASSIGN_OR_RETURN_IMPL(MF_CONCAT(mf_statusor_, __LINE__), lhs, expr)
#define MF_ASSIGN_OR_RETURN_IMPL(statusor, lhs, expr)      \
  auto statusor = (expr);                                  \
  if (!statusor.ok()) return std::move(statusor).status(); \
  lhs = std::move(statusor).value()
