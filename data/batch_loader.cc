#include "data/batch_loader.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/tokens.h"

namespace manyform {
namespace {

// 2^36 features are 256 GiB: beyond it a wrong option is likelier than a wish.
constexpr int64_t kMaxBatchFeatures = int64_t{1} << 36;

absl::Status CheckOptions(const BatchLoader::Options& o) {
  const auto at_least = [](const char* name, int64_t value, int64_t least) -> absl::Status {
    if (value >= least) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, ", expected at least ", least));
  };
  MF_RETURN_IF_ERROR(at_least("batch", o.batch, 1));
  MF_RETURN_IF_ERROR(at_least("length", o.length, 1));
  MF_RETURN_IF_ERROR(at_least("num_workers", o.num_workers, 1));
  MF_RETURN_IF_ERROR(at_least("prefetch", o.prefetch, 1));
  MF_RETURN_IF_ERROR(at_least("first_epoch", o.first_epoch, 0));
  MF_RETURN_IF_ERROR(at_least("first_batch", o.first_batch, 0));
  MF_RETURN_IF_ERROR(at_least("part", o.part, 0));
  MF_RETURN_IF_ERROR(at_least("parts", o.parts, o.part + 1));
  if (o.batch > kMaxBatchFeatures / kFeatures / o.length) {
    return absl::InvalidArgumentError(
        absl::StrCat("a batch of ", o.batch, " sequences of ", o.length, " tokens does not fit in memory"));
  }
  if (!o.draws || !o.fill) return absl::InvalidArgumentError("draws and fill must be given");
  return absl::OkStatus();
}

// Callbacks are not ours: what they throw becomes a status here, on the thread that called them.
template <class F>
auto Guard(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& e) {
    return absl::InternalError(e.what());
  } catch (...) {
    return absl::InternalError("an exception of unknown type");
  }
}

std::shared_ptr<void> OrdinaryMemory(size_t bytes) {
  return std::shared_ptr<void>(::operator new (bytes, std::align_val_t{64}),
                               [](void* p) { ::operator delete (p, std::align_val_t{64}); });
}

using Draws = std::shared_ptr<const std::vector<Draw>>;

}  // namespace

// Batches are numbered through all epochs; number b lives in slot b mod slots. A worker takes the next number
// once its slot is free, so at most `prefetch` are ahead of the one the caller holds.
struct BatchLoader::Impl {
  explicit Impl(Options o) : options(std::move(o)), slots(options.prefetch + 1) {
    epoch = options.first_epoch;
    batch = options.first_batch;
    const size_t tokens = (options.batch + options.parts - 1) / options.parts * options.length;
    for (Slot& slot : slots) {
      const size_t bytes = tokens * (kFeatures * sizeof(float) + 1);
      slot.memory = options.allocate ? options.allocate(bytes) : OrdinaryMemory(bytes);
      if (slot.memory == nullptr) throw std::bad_alloc();
      slot.feat = {static_cast<float*>(slot.memory.get()), tokens * kFeatures};
      slot.type = {reinterpret_cast<uint8_t*>(slot.feat.data() + slot.feat.size()), tokens};
    }
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    changed.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  struct Slot {
    std::shared_ptr<void> memory;
    std::span<float> feat;  // of a batch, or of one's part of it
    std::span<uint8_t> type;
    Batch batch;
    absl::Status status;
    bool ready = false;
  };

  void Work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return stop || closed || claimed < handed_out + options.prefetch; });
      if (stop || closed) return;
      Slot& slot = slots[claimed % slots.size()];
      const absl::StatusOr<Draws> draws = Claim(&slot);
      if (draws.ok() && *draws == nullptr) return;
      lock.unlock();
      slot.status = draws.ok() ? Guard([&] { return Fill(**draws, &slot); }) : draws.status();
      lock.lock();
      // Nothing after a failure will be asked for.
      if (!slot.status.ok()) closed = true;
      slot.ready = true;
      changed.notify_all();
    }
  }

  // Numbers the next batch and says what its epoch draws; null after the last batch.
  absl::StatusOr<Draws> Claim(Slot* slot) {
    absl::StatusOr<Draws> draws = DrawsOfNextBatch();
    if (!draws.ok() || *draws == nullptr) {
      closed = true;
      changed.notify_all();
    }
    if (draws.ok() && *draws == nullptr) return draws;
    ++claimed;
    slot->ready = false;
    slot->batch.epoch = epoch;
    slot->batch.index = batch++;
    return draws;
  }

  absl::StatusOr<Draws> DrawsOfNextBatch() {
    while (epoch < options.epochs) {
      if (epoch_draws == nullptr) {
        MF_ASSIGN_OR_RETURN(std::vector<Draw> draws, Guard([&] { return options.draws(epoch); }));
        epoch_draws = std::make_shared<const std::vector<Draw>>(std::move(draws));
        const int64_t count = static_cast<int64_t>(epoch_draws->size());
        batches = options.drop_last ? count / options.batch : (count + options.batch - 1) / options.batch;
        if (batches == 0) {
          return absl::InvalidArgumentError(absl::StrCat(
              "epoch ", epoch, " has ", count, " draws, not enough for a batch of ", options.batch));
        }
        if (batch > batches) {
          return absl::InvalidArgumentError(
              absl::StrCat("first_batch is ", batch, ", but epoch ", epoch, " has ", batches, " batches"));
        }
      }
      if (batch < batches) return epoch_draws;
      ++epoch;
      batch = 0;
      epoch_draws = nullptr;
    }
    return Draws();
  }

  absl::Status Fill(const std::vector<Draw>& draws, Slot* slot) {
    Batch* out = &slot->batch;
    const int64_t begin = out->index * options.batch, length = options.length;
    out->whole = std::min<int64_t>(options.batch, static_cast<int64_t>(draws.size()) - begin);
    out->first = out->whole * options.part / options.parts;
    const int64_t size = out->whole * (options.part + 1) / options.parts - out->first;
    const int64_t first = begin + out->first;
    out->size = size;
    out->length = length;
    const std::span<float> feat = slot->feat.first(size * length * kFeatures);
    const std::span<uint8_t> type = slot->type.first(size * length);
    out->feat = feat;
    out->type = type;
    out->draws.assign(draws.begin() + first, draws.begin() + first + size);
    for (int64_t i = 0; i < size; ++i) {
      if (stop) return absl::CancelledError("the loader was stopped");
      MF_RETURN_IF_ERROR(options.fill(out->draws[i], out->epoch, first + i,
                                      feat.subspan(i * length * kFeatures, length * kFeatures),
                                      type.subspan(i * length, length)));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<const Batch*> Next() {
    std::unique_lock lock(mutex);
    if (!failure.ok()) return failure;
    ++handed_out;
    changed.notify_all();
    const int64_t wanted = handed_out - 1;
    Slot& slot = slots[wanted % slots.size()];
    changed.wait(lock, [&] { return claimed > wanted ? slot.ready : closed; });
    if (claimed <= wanted) {
      --handed_out;
      return nullptr;
    }
    failure = slot.status;
    if (!failure.ok()) return failure;
    return &slot.batch;
  }

  const Options options;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Slot> slots;
  int64_t claimed = 0;     // batches numbered
  int64_t handed_out = 0;  // batches asked for
  bool closed = false;     // no further batch is numbered
  std::atomic<bool> stop = false;
  absl::Status failure;
  // Where the next batch is.
  int64_t epoch, batch, batches = 0;
  Draws epoch_draws;
  std::vector<std::thread> workers;
};

absl::StatusOr<std::unique_ptr<BatchLoader>> BatchLoader::Create(Options options) {
  MF_RETURN_IF_ERROR(CheckOptions(options));
  try {
    auto impl = std::make_unique<Impl>(std::move(options));
    for (int i = 0; i < impl->options.num_workers; ++i) {
      impl->workers.emplace_back([impl = impl.get()] { impl->Work(); });
    }
    return std::unique_ptr<BatchLoader>(new BatchLoader(std::move(impl)));
  } catch (const std::exception& e) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory or threads for the batches: ", e.what()));
  }
}

BatchLoader::BatchLoader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BatchLoader::~BatchLoader() = default;

absl::StatusOr<const Batch*> BatchLoader::Next() { return impl_->Next(); }

}  // namespace manyform
