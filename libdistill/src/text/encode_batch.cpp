#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include <distill/core/error.h>
#include <distill/text/tokenizer.h>

namespace distill::text {
namespace {

/// Texts a thread takes at a time.
constexpr std::size_t kPortion = 16;

/// What the threads share.
class Batch {
 public:
  Batch(const Tokenizer& tokenizer, std::span<const std::string> texts, bool add_special)
      : tokenizer_(tokenizer), texts_(texts), add_special_(add_special), results_(texts.size()) {}

  void work() {
    while (true) {
      const std::size_t begin = next_.fetch_add(kPortion);
      if (begin >= texts_.size()) return;
      const std::size_t end = std::min(begin + kPortion, texts_.size());
      for (std::size_t i = begin; i < end; ++i) encode(i);
    }
  }

  std::vector<TokenIds> take() {
    if (error_) std::rethrow_exception(error_);
    return std::move(results_);
  }

 private:
  void encode(std::size_t i) {
    try {
      results_[i] = tokenizer_.encode(texts_[i], add_special_);
    } catch (const InputError& error) {
      keep_first(
          i, std::make_exception_ptr(InputError(core::concat("text ", i + 1, ": ", error.what()))));
    } catch (...) {
      keep_first(i, std::current_exception());
    }
  }

  /// The same error whichever thread was quicker.
  void keep_first(std::size_t i, std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (error_ && error_at_ < i) return;
    error_ = std::move(error);
    error_at_ = i;
  }

  const Tokenizer& tokenizer_;
  std::span<const std::string> texts_;
  bool add_special_;
  std::vector<TokenIds> results_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::size_t error_at_ = 0;
};

}  // namespace

std::vector<TokenIds> encode_batch(const Tokenizer& tokenizer, std::span<const std::string> texts,
                                   int num_threads, bool add_special) {
  Batch batch(tokenizer, texts, add_special);
  {
    std::vector<std::jthread> threads;
    try {
      for (int i = 1; i < num_threads; ++i) threads.emplace_back([&batch] { batch.work(); });
    } catch (const std::system_error&) {
      // The system makes no more of them: those that are there, this one at least, do all of it.
    }
    batch.work();
  }
  return batch.take();
}

}  // namespace distill::text
